# SPDX-License-Identifier: MIT
"""What this process may use is found in whatever the kernel says, in containers too."""

import os
from collections.abc import Mapping
from pathlib import Path

import psutil
import pytest

from node.executor.machine import (
    MIB,
    cpu_quota,
    disk_space,
    identity,
    largest_cache_kib,
    look,
    memory_limits,
    processor,
    usable_cores,
)

GIB = 1024 * MIB
FOREVER = "9223372036854771712\n"  # what version 1 says for no limit

V2 = "31 24 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = (
    "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    "36 31 0:33 / /proc rw - proc proc rw\n"
    "a torn line - cgroup\n"
)
# A container that sees only its own group, under the name that the host gives it.
DOCKER_V1 = (
    "40 31 0:29 /docker/ab /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu\n"
    "41 31 0:32 /docker/ab /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
)


def kernel(root: Path, files: Mapping[str, str]) -> Path:
    """A file system with what a kernel would say."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def groups(own: str, mounts: str) -> dict[str, str]:
    return {"proc/self/cgroup": own, "proc/self/mountinfo": mounts}


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({}, None),
        (groups("0::/\n", V2), None),
        ({**groups("0::/\n", V2), "sys/fs/cgroup/cpu.max": "150000 100000\n"}, 1.5),
        ({**groups("0::/\n", V2), "sys/fs/cgroup/cpu.max": "max 100000\n"}, None),
        ({**groups("0::/\n", V2), "sys/fs/cgroup/cpu.max": "50000\n"}, 0.5),
        ({**groups("0::/\n", V2), "sys/fs/cgroup/cpu.max": "nonsense here\n"}, None),
        ({**groups("0::/\n", V2), "sys/fs/cgroup/cpu.max": "1000 0\n"}, None),
        # the least of all levels counts: the parent's, or its own
        (
            {
                **groups("0::/user.slice/node.service\n", V2),
                "sys/fs/cgroup/user.slice/cpu.max": "100000 100000\n",
                "sys/fs/cgroup/user.slice/node.service/cpu.max": "400000 100000\n",
            },
            1.0,
        ),
        (
            {
                **groups("0::/user.slice/node.service\n", V2),
                "sys/fs/cgroup/user.slice/cpu.max": "max 100000\n",
                "sys/fs/cgroup/user.slice/node.service/cpu.max": "300000 100000\n",
            },
            3.0,
        ),
        # a neighbour's quota is not ours
        (
            {
                **groups("0::/ours\n", V2),
                "sys/fs/cgroup/theirs/cpu.max": "1000 100000\n",
                "sys/fs/cgroup/ours/cpu.max": "max 100000\n",
            },
            None,
        ),
        (
            {
                **groups("4:cpu,cpuacct:/a\n5:memory:/b\n0::/\n", V1),
                "sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us": "200000\n",
                "sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us": "50000\n",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
            },
            4.0,
        ),
        (
            {
                **groups("4:cpu:/docker/ab\n5:memory:/docker/ab\n", DOCKER_V1),
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "25000\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            0.25,
        ),
        # a process outside of what its namespace shows
        (
            {**groups("0::/../elsewhere\n", V2), "sys/fs/cgroup/cpu.max": "200000 100000\n"},
            2.0,
        ),
        # a mount with a space in its name
        (
            {
                **groups("0::/\n", V2.replace("/sys/fs/cgroup", r"/the\040groups")),
                "the groups/cpu.max": "200000 100000\n",
            },
            2.0,
        ),
        (groups("torn", "torn - \n - cgroup2 x\n1 2 3 4 5 - cgroup\n"), None),
    ],
)
def test_the_quota_of_processors(tmp_path: Path, files: dict[str, str], quota: float) -> None:
    assert cpu_quota(kernel(tmp_path, files)) == quota


@pytest.mark.parametrize(
    ("files", "limit", "free"),
    [
        ({}, None, None),
        (groups("0::/\n", V2), None, None),
        ({**groups("0::/\n", V2), "sys/fs/cgroup/memory.max": "max\n"}, None, None),
        (
            {
                **groups("0::/\n", V2),
                "sys/fs/cgroup/memory.max": f"{2 * GIB}\n",
                "sys/fs/cgroup/memory.current": f"{GIB}\n",
                "sys/fs/cgroup/memory.stat": f"anon 5\ninactive_file {GIB // 2}\n",
            },
            2 * GIB,
            3 * GIB // 2,
        ),
        # above `high` the kernel slows a process down until it gives memory back
        (
            {
                **groups("0::/\n", V2),
                "sys/fs/cgroup/memory.max": f"{2 * GIB}\n",
                "sys/fs/cgroup/memory.high": f"{GIB}\n",
            },
            GIB,
            GIB,
        ),
        # the parent allows less than it, and a sibling has taken most of that
        (
            {
                **groups("0::/a/b\n", V2),
                "sys/fs/cgroup/a/memory.max": f"{GIB}\n",
                "sys/fs/cgroup/a/memory.current": f"{GIB - 5}\n",
                "sys/fs/cgroup/a/b/memory.max": f"{2 * GIB}\n",
                "sys/fs/cgroup/a/b/memory.current": "3\n",
            },
            GIB,
            5,
        ),
        (
            {
                **groups("5:memory:/b\n0::/\n", V1),
                "sys/fs/cgroup/memory/memory.limit_in_bytes": FOREVER,
                "sys/fs/cgroup/memory/b/memory.limit_in_bytes": f"{GIB}\n",
                "sys/fs/cgroup/memory/b/memory.usage_in_bytes": f"{GIB}\n",
                "sys/fs/cgroup/memory/b/memory.stat": "inactive_file 1\ntotal_inactive_file 77\n",
            },
            GIB,
            77,
        ),
        (
            {
                **groups("4:cpu:/docker/ab\n5:memory:/docker/ab\n", DOCKER_V1),
                "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{GIB}\n",
            },
            GIB,
            GIB,
        ),
    ],
)
def test_the_limit_of_memory(
    tmp_path: Path, files: dict[str, str], limit: int | None, free: int | None
) -> None:
    assert memory_limits(kernel(tmp_path, files)) == (limit, free)


def test_no_more_is_promised_than_may_be_used(tmp_path: Path) -> None:
    files = {
        **groups("0::/\n", V2),
        "sys/fs/cgroup/cpu.max": "50000 100000\n",
        "sys/fs/cgroup/memory.max": f"{64 * MIB}\n",
        "sys/fs/cgroup/memory.current": f"{60 * MIB}\n",
    }
    seen = look(tmp_path, kernel(tmp_path / "root", files))
    assert seen.cores_usable == 0.5
    assert seen.memory_mib == 64
    assert seen.memory_available_mib <= 4
    assert seen.memory_total_mib == psutil.virtual_memory().total // MIB


def test_no_limit_leaves_the_machine(tmp_path: Path) -> None:
    seen = look(tmp_path, tmp_path / "nothing")
    assert seen.memory_mib == seen.memory_total_mib > 0
    assert 0 < seen.memory_available_mib <= seen.memory_mib
    assert 1 <= seen.cores_usable <= seen.cores_logical
    assert 1 <= seen.cores_physical <= seen.cores_logical
    assert 0 < seen.disk_mib <= seen.disk_total_mib
    assert seen.cpu_model
    assert seen.cpu_features == ()
    assert seen.cache_kib == 0


def test_this_very_machine_can_be_looked_at(tmp_path: Path) -> None:
    seen = look(tmp_path)
    assert 0 < seen.memory_mib <= seen.memory_total_mib
    assert 0 < seen.cores_usable <= seen.cores_logical


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity")
def test_a_processor_that_is_forbidden_does_not_count(tmp_path: Path) -> None:
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert usable_cores(64, tmp_path) == 1
    finally:
        os.sched_setaffinity(0, before)


def test_a_system_without_affinity_has_what_it_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("os.sched_getaffinity", raising=False)
    assert usable_cores(64, tmp_path) == 64


INTEL = """\
processor\t: 0
model name\t: Intel(R) Core(TM)  i5
flags\t\t: fpu sse4_2 avx avx2 avx_vnni rtm
processor\t: 1
model name\t: Intel(R) Core(TM)  i5
flags\t\t: fpu sse4_2 avx avx2 rtm
"""
BOARD = """\
processor\t: 0
BogoMIPS\t: 108.00
Features\t: fp asimd evtstrm asimddp cpuid
CPU implementer\t: 0x41

Hardware\t: BCM2835
Model\t\t: A Board Model 4
"""


def test_what_one_core_lacks_is_not_promised(tmp_path: Path) -> None:
    root = kernel(tmp_path, {"proc/cpuinfo": INTEL})
    assert processor(root) == ("Intel(R) Core(TM) i5", ("avx", "avx2", "sse4_2"))


def test_a_board_is_named_by_its_maker(tmp_path: Path) -> None:
    files = {"proc/cpuinfo": BOARD}
    assert processor(kernel(tmp_path, files)) == ("A Board Model 4", ("asimddp", "neon"))
    files = {"proc/device-tree/model": "Another Board\x00"}
    assert processor(kernel(tmp_path, files))[0] == "Another Board"


def test_a_strange_name_is_made_printable(tmp_path: Path) -> None:
    root = kernel(tmp_path, {"proc/cpuinfo": "model name : \x1b[31mred\x07 " + "x" * 1000})
    name, features = processor(root)
    assert name.startswith("[31mred x")
    assert len(name) == 120
    assert features == ()


def test_a_machine_that_says_nothing_has_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.processor", lambda: "")
    monkeypatch.setattr("platform.machine", lambda: "")
    assert processor(tmp_path) == ("unknown", ())


def test_the_largest_cache_counts(tmp_path: Path) -> None:
    cache = "sys/devices/system/cpu/cpu0/cache"
    files = {
        f"{cache}/index0/size": "32K\n",
        f"{cache}/index0/type": "Data\n",
        f"{cache}/index1/size": "900M\n",
        f"{cache}/index1/type": "Instruction\n",
        f"{cache}/index2/size": "2048K\n",
        f"{cache}/index2/type": "Unified\n",
        f"{cache}/index3/size": "96M\n",
        f"{cache}/index3/type": "Unified\n",
        f"{cache}/index4/size": "much\n",
    }
    assert largest_cache_kib(kernel(tmp_path, files)) == 96 * 1024


def test_a_gpu_that_was_put_in_makes_another_machine(tmp_path: Path) -> None:
    before = identity(kernel(tmp_path, {"etc/machine-id": "12ab\n"}))
    assert before[0] == "12ab"
    after = identity(kernel(tmp_path, {"proc/driver/nvidia/gpus/0000:01:00.0/information": "x"}))
    assert after != before


def test_a_folder_that_is_not_there_is_on_the_disk_of_its_parent(tmp_path: Path) -> None:
    assert disk_space(tmp_path / "a" / "b")[0] == disk_space(tmp_path)[0] > 0


def test_a_disk_that_nobody_can_look_at_is_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(_: Path) -> None:
        raise PermissionError

    monkeypatch.setattr("shutil.disk_usage", forbidden)
    assert disk_space(tmp_path) == (0, 0)
