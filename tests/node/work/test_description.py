# SPDX-License-Identifier: MIT
"""What a node says of itself is true, signed, and never more than its owner offers."""

from dataclasses import dataclass, field

import trio

from node.config import Config, CreditConfig, ExecutorConfig, GovernorConfig
from node.executor.hardware import Hardware
from node.executor.machine import Machine
from node.executor.measured import Gpu, Measured
from node.mesh.addresses import Reach
from node.work.description import TTL_S, Description
from protocol.advert import GIFT_ANYONE, REACH_UNKNOWN, Advert, ModelAtHand
from protocol.errors import Refused
from protocol.keys import Keypair
from protocol.limits import (
    ADDRESS_BYTES_MAX,
    ADDRESSES_MAX,
    ADVERT_INTERVAL_S_MIN,
    ADVERT_TTL_S_MAX,
    CLOCK_SKEW_S_MAX,
    MODELS_PER_ADVERT_MAX,
    NAME_BYTES_MAX,
)
from protocol.price import PRICE_VERSION
from protocol.reasons import Reason
from protocol.sealed import unseal
from tests.node.executor.virtual_time import in_virtual_time
from tests.node.mesh.virtual_clock import VirtualClock

NETWORK = bytes(16)
KEYPAIR = Keypair(b"\x05" * 32)
ADDRESS = "/ip4/10.0.0.1/tcp/4001"

MEASURED = Measured(
    fp32_mflops=100_000,
    int8_mops=400_000,
    memory_mbps=20_000,
    weights_mib=128,
    on_core_percent=99,
    providers=("CUDAExecutionProvider", "CPUExecutionProvider"),
    gpus=(Gpu("a GPU with a name", 8192),),
    runtime="1.31",
    measured_at_s=1,
)


def a_machine(**changes: object) -> Machine:
    values: dict[str, object] = dict.fromkeys(Machine.__dataclass_fields__, 0)
    texts = {name: "x" for name, each in Machine.__dataclass_fields__.items() if each.type == "str"}
    plain = {
        "cores_usable": 8.0,
        "memory_mib": 16_000,
        "disk_mib": 100_000,
        "cpu_features": (),
        "cache_kib": 1024,
    }
    return Machine(**(values | texts | plain | changes))  # type: ignore[arg-type]  # its fields by name


@dataclass
class Told:
    """A description, with all that it is told from outside."""

    config: Config = field(default_factory=Config)
    addresses: tuple[str, ...] = (ADDRESS,)
    models: tuple[ModelAtHand, ...] = ()
    broken: str = ""
    machine: Machine = field(default_factory=a_machine)
    clock: VirtualClock = field(default_factory=VirtualClock)

    def __post_init__(self) -> None:
        self.description = Description(
            KEYPAIR,
            NETWORK,
            b"12345678",
            self.config,
            self.clock,
            self.probe,
            lambda: self.addresses,
            Reach().of,
            lambda: self.models,
        )

    async def probe(self) -> Hardware:
        await trio.lowlevel.checkpoint()
        if self.broken:
            raise Refused(Reason.RUN_FAILED, self.broken)
        return Hardware(self.machine, MEASURED)

    async def advert(self) -> Advert:
        return unseal(await self.description.sealed(), NETWORK, Advert).value


@in_virtual_time
async def test_an_advert_says_what_the_machine_can_do() -> None:
    advert = await Told().advert()
    assert advert.node == KEYPAIR.public
    assert (advert.fp32_mflops, advert.int8_mops, advert.memory_mbps) == (100_000, 400_000, 20_000)
    assert (advert.accelerator, advert.accelerator_mib) == ("a GPU with a name", 8192)
    assert advert.price_version == PRICE_VERSION
    assert advert.addresses == (ADDRESS,)
    assert advert.reach == REACH_UNKNOWN
    assert advert.ttl_s == TTL_S <= ADVERT_TTL_S_MAX


@in_virtual_time
async def test_no_more_is_offered_than_the_owner_gives() -> None:
    config = Config(
        executor=ExecutorConfig(runners=2, threads=2, memory_mib=3000),
        governor=GovernorConfig(disk_mib=5000),
        credit=CreditConfig(rate_min=77, gift="anyone"),
    )
    advert = await Told(config).advert()
    assert (advert.cores, advert.memory_mib, advert.disk_mib) == (4, 3000, 5000)
    assert (advert.rate_min, advert.gift) == (77, GIFT_ANYONE)


@in_virtual_time
async def test_disk_that_is_kept_free_is_not_offered() -> None:
    config = Config(governor=GovernorConfig(disk_free_mib=2048))
    assert (await Told(config, machine=a_machine(disk_mib=3000)).advert()).disk_mib == 952
    assert (await Told(config, machine=a_machine(disk_mib=1000)).advert()).disk_mib == 0


@in_virtual_time
async def test_a_machine_that_could_not_be_measured_says_that_it_can_do_nothing() -> None:
    told = Told(broken="the probe died of signal 9")
    advert = await told.advert()
    rates = (advert.fp32_mflops, advert.int8_mops, advert.memory_mbps, advert.memory_mib)
    assert rates == (0, 0, 0, 0)
    assert told.description.trouble.endswith("the probe died of signal 9")
    told.broken = ""
    await trio.sleep(ADVERT_INTERVAL_S_MIN)
    assert (await told.advert()).fp32_mflops == 100_000
    assert told.description.trouble == ""


@in_virtual_time
async def test_a_new_advert_waits_until_others_would_take_it() -> None:
    told = Told()
    first = await told.advert()
    told.addresses = ()
    await trio.sleep(ADVERT_INTERVAL_S_MIN - 1)
    assert await told.advert() == first
    await trio.sleep(1)
    second = await told.advert()
    assert second.addresses == ()
    assert second.sequence == first.sequence + 1
    assert second.issued_at_s - first.issued_at_s == ADVERT_INTERVAL_S_MIN


@in_virtual_time
async def test_a_clock_that_was_set_back_does_not_silence_a_node_for_ever() -> None:
    told = Told()
    await told.advert()
    told.clock.ahead_s = -TTL_S - 10
    assert (await told.advert()).sequence == 2


@in_virtual_time
async def test_what_was_told_by_a_clock_that_was_ahead_is_told_anew_when_it_is_set_right() -> None:
    """Others have refused it as one from the future: an hour ahead silenced a node for an hour."""
    told = Told()
    told.clock.ahead_s = 3600
    ahead = await told.advert()
    told.clock.ahead_s = 3600 - CLOCK_SKEW_S_MAX
    assert await told.advert() == ahead  # that far ahead they may have taken it
    told.clock.ahead_s = 0
    assert (await told.advert()).sequence == 2


@in_virtual_time
async def test_of_many_models_the_warm_ones_are_listed_each_once_and_in_order() -> None:
    cold = [ModelAtHand(number.to_bytes(32, "big"), 0) for number in range(60)]
    warm = [ModelAtHand(number.to_bytes(32, "big"), 1) for number in range(50, 60)]
    advert = await Told(models=(*cold, *warm)).advert()
    assert len(advert.models) == MODELS_PER_ADVERT_MAX
    assert {each.model for each in warm} == {each.model for each in advert.models if each.warm}
    assert [each.model for each in advert.models] == sorted(each.model for each in advert.models)


@in_virtual_time
async def test_an_advert_fits_with_everything_at_its_cap() -> None:
    long = "/dns/" + "a" * (ADDRESS_BYTES_MAX - 9) + "/tcp"
    models = tuple(ModelAtHand(number.to_bytes(32, "big"), 1) for number in range(100))
    told = Told(addresses=(long,) * (ADDRESSES_MAX + 3), models=models)
    advert = await told.advert()
    assert len(advert.addresses) == ADDRESSES_MAX
    assert len("a GPU with a name") <= NAME_BYTES_MAX


@in_virtual_time
async def test_before_the_first_advert_there_is_none() -> None:
    told = Told()
    assert told.description.current() == b""
    wire = await told.description.sealed()
    assert told.description.current() == wire
