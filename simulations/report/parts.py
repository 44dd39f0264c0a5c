# SPDX-License-Identifier: MIT
"""What both pages are made of: a document, its first sheet, badges, rows of figures, tables."""

from collections.abc import Iterable, Sequence

from simulations.record import Record
from simulations.report import said
from simulations.report.look import STYLE
from simulations.report.markup import Child, Style, Tag, tag


def document(name: str, *body: Child) -> str:
    """Write a page around what is in it."""
    page = tag(
        "html",
        tag(
            "head",
            tag("meta", charset="utf-8"),
            tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
            tag("meta", name="color-scheme", content="light dark"),
            # Nothing is fetched and nothing runs, whatever a name in the record looks like.
            tag(
                "meta",
                http_equiv="Content-Security-Policy",
                content="default-src 'none'; style-src 'unsafe-inline'",
            ),
            tag("title", name),
            tag("style", Style(STYLE)),
        ),
        tag("body", tag("main", *body)),
        lang="en",
    )
    return f"<!doctype html>\n{page}"


def sheet(names: tuple[str, str, str], verdict: Tag, figures: Tag, *drawn: Tag) -> Tag:
    """Make what fills the first page on paper. `names` are the scenario, a note, its sentence."""
    scenario, note, about = names
    return tag(
        "div",
        tag(
            "header",
            tag("p", tag("b", scenario), f", {note}", class_="scenario"),
            tag("h1", about or scenario),
            verdict,
            figures,
        ),
        tag("figure", *drawn, class_="curves") if drawn else None,
        class_="sheet",
    )


def badge(kind: str, verdict: str, words: str) -> Tag:
    """Make a verdict that is seen at once, and a few words to it."""
    return tag("p", tag("span", verdict, class_=f"badge {kind}"), words, class_="verdict")


def caption(name: str, words: str, pointer: str | None = None) -> Tag:
    """Make the heading of a drawing; `pointer` is for those who have one."""
    # Paper and most telephones have no pointer, and are not told of one.
    hint = tag("span", pointer, class_="pointer") if pointer else None
    return tag("figcaption", tag("h2", name), tag("p", words, hint))


def section(name: str, content: Child, kind: str | None = None) -> Tag:
    """Make a part of a page with its heading."""
    return tag("section", tag("h2", name), content, class_=kind)


def key_figures(figures: Iterable[tuple[str, str, str]]) -> Tag:
    """Make the row of figures at the top: what, how much, and a word to it."""
    return tag(
        "dl",
        *(
            tag(
                "div",
                tag("dt", name),
                tag("dd", value, tag("small", note) if note else None, class_=_mono(name)),
            )
            for name, value, note in figures
        ),
        class_="key",
    )


def table(heads: Sequence[str], rows: Iterable[Sequence[Child]], numbers: Sequence[int]) -> Tag:
    """Make a table; the columns of `numbers` are aligned to the right."""
    kinds = ["number" if at in numbers else None for at in range(len(heads))]
    return tag(
        "div",
        tag(
            "table",
            tag(
                "thead",
                tag(
                    "tr",
                    *(
                        tag("th", head, scope="col", class_=kind)
                        for head, kind in zip(heads, kinds, strict=True)
                    ),
                ),
            ),
            tag(
                "tbody",
                *(
                    tag(
                        "tr",
                        *(
                            tag("td", each, class_=kind)
                            for each, kind in zip(row, kinds, strict=True)
                        ),
                    )
                    for row in rows
                ),
            ),
        ),
        class_="scrolls",
    )


def problems_of(record: Record) -> list[str]:
    """Say each thing that went wrong, in words."""
    found = [f"It ended with: {record.error}"] if record.error else []
    for each in record.verdicts:
        # What ended the run often names the check that did not hold: once is enough.
        if each.trouble and each.trouble not in record.error:
            name = each.check.replace("_", " ")
            found.append(f"{name}: {each.trouble} (at {said.duration(each.at_s)})")
    return found


def outcome(record: Record) -> str:
    """Say in one line how it went."""
    problems = problems_of(record)
    if not problems:
        return "well"
    more = len(problems) - 1
    return problems[0] + (f", and {more} more" if more else "")


def _mono(name: str) -> str | None:
    return "mono" if name == "digest" else None
