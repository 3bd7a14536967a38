"""What starts the processes of a stage: how many, how a step is spread, and who is named when one ends."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from types import MappingProxyType, SimpleNamespace
from typing import Any

import pytest
import torch
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ProcessFailure
from torch.distributed.elastic.rendezvous import RendezvousConnectionError
from torch.distributed.launcher import api as launcher

from gigatok.config import ConfigError, Params
from gigatok.config.launch import LaunchSection
from gigatok.training.distributed import endings, launch
from gigatok.training.distributed.endings import Ending
from gigatok.training.distributed.launch import StageProcessError, run_in_processes, spread
from gigatok.training.distributed.setup import Processes

Asked = Callable[..., Params]


@pytest.fixture
def asked(new_project: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Asked:
    """Settings of a node with so many GPUs and such a ``launch``."""
    project = new_project("p")

    def settings(gpus: int, **wanted: Any) -> Params:
        monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
        found: Params = project.params({"batch_size": 8}, {"batch_size": 8}, launch=wanted, base={"device": "auto"})
        return found

    return settings


@pytest.mark.parametrize("wanted", [{"processes": 2}, {"processes": "auto", "nodes": 2, "rendezvous": "first:29400"}])
def test_apples_gpu_takes_one_process(asked: Asked, monkeypatch: pytest.MonkeyPatch, wanted: dict[str, Any]) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    with pytest.raises(ConfigError, match=r"launch\.processes = .* in one process on Apple's GPU: set both to 1"):
        run_in_processes("generator", "G", asked(0, **wanted))
    assert run_in_processes("generator", "G", asked(0, processes=1)) is False


@pytest.mark.parametrize(
    "wanted", [{"processes": 8}, {"processes": 4, "nodes": 2, "rendezvous": "first:29400"}, {"processes": "auto"}]
)
def test_a_process_of_torchrun_sees_its_own_gpu_alone(
    asked: Asked, monkeypatch: pytest.MonkeyPatch, wanted: dict[str, Any]
) -> None:
    """torchrun with virtual local ranks shows each process one GPU; the job script's torchrun does so too."""
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "train_generator@G")
    monkeypatch.setenv("WORLD_SIZE", "8")
    assert run_in_processes("generator", "G", asked(1, **wanted)) is False


def test_the_batch_is_shared_among_those_that_torchrun_started(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "train_generator@G")
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(ConfigError, match=r"batch_size 8 of generator G is not a multiple of its 3 processes"):
        run_in_processes("generator", "G", asked(1, processes=8))


def test_fewer_gpus_than_asked_for_are_refused(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    monkeypatch.setattr(launch, "_run", lambda *_: pytest.fail("nothing may be started"))
    with pytest.raises(ConfigError, match=r"launch\.processes = 4, but 2 GPUs are visible here"):
        run_in_processes("generator", "G", asked(2, processes=4))


def ended(*ends: tuple[int, int, float], noted: Mapping[int, Ending] = MappingProxyType({})) -> str:
    """What is said of processes that ended: (rank, exit code, seconds after the first) each, as torchrun lists them,
    of which some noted how."""
    failures = {}
    for rank, code, seconds in ends:
        failures[rank] = ProcessFailure(local_rank=rank, pid=rank, exitcode=code, error_file="")
        failures[rank].timestamp = int(1_700_000_000 + seconds)
    return str(launch._failure("train_tokenizer@T", failures, noted, len(failures)))


def test_who_failed_first_is_named_and_not_those_that_torchrun_killed() -> None:
    """Ranks in NCCL do not hear torchrun's SIGTERM: it kills them half a minute later."""
    said = ended((0, -9, 30), (1, -9, 30), (2, -9, 30), (3, 1, 0))
    assert said == "train_tokenizer@T: rank 3 ended with exit code 1: its message is above"


def test_who_was_killed_is_named_and_not_those_that_missed_it_at_once() -> None:
    said = ended((0, 1, 0), (1, -9, 1), (2, 1, 0), (3, -9, 30))
    assert said.startswith("train_tokenizer@T: rank 1 was killed by SIGKILL, the others were ended")


def test_who_hung_is_named_and_not_those_that_nccl_ended() -> None:
    said = ended((0, -6, 0), (1, -9, 30), (2, -6, 0))
    assert "rank 0 was ended by SIGABRT" in said
    assert "look first at rank 1, which" in said
    assert ended((0, -6, 0), (1, -6, 0)).startswith("train_tokenizer@T: rank 0 was killed by SIGABRT")


SAVED = Ending(exit_code=130, saved=True)
ALL_SAVED = "train_tokenizer@T interrupted: its processes saved their state"
NOT_ALL_SAVED = "train_tokenizer@T interrupted: not all of its processes saved their state"


def test_an_interruption_is_none_of_them() -> None:
    assert ended((0, 130, 5), (1, 130, 0), noted={0: SAVED, 1: SAVED}).startswith(ALL_SAVED)


def test_one_that_saved_may_be_ended_by_the_signal_that_comes_twice() -> None:
    assert ended((0, -15, 0), (1, -15, 0), noted={0: SAVED, 1: SAVED}).startswith(ALL_SAVED)


def test_no_state_is_promised_that_a_process_did_not_save() -> None:
    """The second Ctrl-C ends with 130 too, and at once."""
    assert ended((0, 130, 0), (1, 130, 0), noted={0: SAVED}).startswith(NOT_ALL_SAVED)


@pytest.mark.parametrize(("noted", "expected"), [({0: SAVED, 1: SAVED}, ALL_SAVED), ({1: SAVED}, NOT_ALL_SAVED)])
def test_of_a_signal_to_torchrun_is_said_what_its_processes_noted(
    monkeypatch: pytest.MonkeyPatch, noted: dict[int, Ending], expected: str
) -> None:
    def run(*_: object) -> None:
        for rank, ending in noted.items():
            endings._note(rank, ending)
        raise SignalException("asked to stop", signal.SIGTERM)

    monkeypatch.setattr("torch.distributed.launcher.api.elastic_launch", lambda *_: run)
    with pytest.raises(StageProcessError) as caught:
        launch._run("train_tokenizer@T", LaunchSection(processes=2), 2)
    assert str(caught.value).startswith(expected)
    assert caught.value.exit_code == 130


@pytest.mark.parametrize(("precision", "expected"), [("fp32", "fsdp"), ("bf16", "fsdp"), ("fp16", "ddp")])
def test_shards_by_itself_only_what_can_be_trained_so(
    monkeypatch: pytest.MonkeyPatch, precision: str, expected: str
) -> None:
    """fp16 scales its loss, which is not done over shards: ``strategy: fsdp`` is refused with it too."""
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(total_memory=2**30))
    monkeypatch.setattr(Processes, "largest", lambda _, value: value)
    processes = Processes(0, 8, torch.device("cuda"))
    assert spread(LaunchSection(), processes, precision, parameters=10**9).strategy == expected
    assert spread(LaunchSection(), processes, precision, parameters=10**6).strategy == "ddp"


def test_the_smallest_gpu_decides_how_all_are_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node with 40 GB beside one with 80: each by itself would choose another way, and wait for the other in vain."""
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(total_memory=80 * 2**30))
    here = Processes(0, 2, torch.device("cuda"))
    parameters = 1_400_000_000
    for smallest, strategy in ((80, "ddp"), (40, "fsdp")):
        monkeypatch.setattr(Processes, "largest", lambda _, value, least=smallest: max(value, -least * 2.0**30))
        assert spread(LaunchSection(), here, "bf16", parameters).strategy == strategy


def test_nodes_that_lose_each_other_are_named_and_not_traced(monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*_: Any) -> Callable[..., None]:
        def run(*_: Any) -> None:
            raise RendezvousConnectionError("The connection to the C10d store has failed.")

        return run

    monkeypatch.setattr(launcher, "elastic_launch", lost)
    wanted = LaunchSection(processes=8, nodes=2, rendezvous="first:29400")
    with pytest.raises(StageProcessError, match=r"2 nodes did not meet at launch\.rendezvous first:29400, or lost"):
        launch._run("train_tokenizer@T", wanted, 8)


@pytest.fixture
def lost(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """What is said where the nodes lose each other after processes of this one have noted how they ended."""

    def said(wanted: LaunchSection, noted: Mapping[int, Ending] = MappingProxyType({})) -> str:
        def run(*_: Any) -> None:
            for rank, ending in noted.items():
                endings._note(rank, ending)
            raise RendezvousConnectionError("no connection")

        monkeypatch.setattr(launcher, "elastic_launch", lambda *_: run)
        with pytest.raises(StageProcessError) as caught:
            launch._run("train_tokenizer@T", wanted, 2)
        return f"{caught.value.exit_code} {caught.value}"

    return said


NODES = LaunchSection(processes=2, nodes=2, rendezvous="first:29400")


def test_nodes_that_lose_each_other_since_they_were_interrupted_say_so(lost: Callable[..., str]) -> None:
    assert lost(NODES, {0: SAVED, 1: SAVED}).startswith(f"130 {ALL_SAVED}")
    assert lost(NODES, {1: SAVED}).startswith(f"130 {NOT_ALL_SAVED}")


def test_nodes_that_lose_each_other_by_an_error_here_name_it(lost: Callable[..., str]) -> None:
    noted = {0: Ending(exit_code=0, saved=True), 1: Ending(exit_code=2, saved=False)}
    assert lost(NODES, noted) == "2 train_tokenizer@T: rank 1 ended with exit code 2: its message is above"
    together = Ending(exit_code=2, saved=False, together=True)
    with pytest.raises(SystemExit) as ended:
        lost(NODES, {0: together, 1: together})
    assert ended.value.code == 2


def test_one_node_is_not_told_to_look_at_others(lost: Callable[..., str]) -> None:
    alone = lost(LaunchSection(processes=2))
    assert alone.startswith("1 train_tokenizer@T: its 2 processes did not meet at localhost (no connection): look")
    named = lost(LaunchSection(processes=2, rendezvous="other:29400"))
    assert "did not meet at launch.rendezvous other:29400 (no connection): remove it" in named
