"""What the machine offers: device, number format and threads, and how the format is found."""

import time

import pytest
import torch

from ner_tutorial import detect_hardware
from ner_tutorial.fast.precision import autocast_dtype, cpu_bf16_instructions, cpu_is_faster_in_bf16, fast_precision


@pytest.fixture(autouse=True)
def forget_the_timing():
    cpu_is_faster_in_bf16.cache_clear()
    yield
    cpu_is_faster_in_bf16.cache_clear()


def instructions(monkeypatch, *, avx512: bool, amx: bool) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx, raising=False)


def slow_products(monkeypatch, slow: torch.dtype) -> None:
    """Products in one format take ten milliseconds longer.

    All are computed in float32: without bfloat16 instructions, PyTorch takes a hundred times as long for a product in it.
    """
    linear = torch.nn.functional.linear

    def delayed(rows, weight):
        if rows.dtype == slow:
            time.sleep(0.01)
        return linear(rows.float(), weight.float()).to(rows.dtype)

    monkeypatch.setattr(torch.nn.functional, "linear", delayed)


@pytest.mark.parametrize(
    ("avx512", "amx", "names"),
    [(False, False, ()), (True, False, ("AVX512-BF16",)), (True, True, ("AVX512-BF16", "AMX"))],
)
def test_the_instructions_are_named(avx512, amx, names, monkeypatch):
    instructions(monkeypatch, avx512=avx512, amx=amx)
    assert cpu_bf16_instructions() == names


def test_an_old_torch_without_the_queries_has_no_instructions(monkeypatch):
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.delattr(torch.cpu, name, raising=False)
    assert cpu_bf16_instructions() == ()


def test_bfloat16_is_chosen_where_its_products_are_faster(monkeypatch):
    instructions(monkeypatch, avx512=True, amx=True)
    slow_products(monkeypatch, torch.float32)
    assert cpu_is_faster_in_bf16()


def test_bfloat16_is_not_chosen_where_it_has_instructions_and_is_slower(monkeypatch):
    instructions(monkeypatch, avx512=True, amx=False)
    slow_products(monkeypatch, torch.bfloat16)
    assert not cpu_is_faster_in_bf16()


def test_nothing_is_timed_without_instructions(monkeypatch):
    instructions(monkeypatch, avx512=False, amx=False)
    monkeypatch.setattr(torch.nn.functional, "linear", lambda *_: pytest.fail("timed"))
    assert not cpu_is_faster_in_bf16()


@pytest.mark.skipif(torch.cuda.is_available() or torch.backends.mps.is_available(), reason="the CPU's choice")
@pytest.mark.parametrize(("slow", "chosen"), [(torch.float32, "bf16"), (torch.bfloat16, "no")])
def test_the_format_is_the_machines_unless_one_is_given(slow, chosen, monkeypatch):
    instructions(monkeypatch, avx512=True, amx=True)
    slow_products(monkeypatch, slow)
    assert detect_hardware().precision == chosen
    assert detect_hardware("no").precision == "no"
    assert detect_hardware("bf16").precision == "bf16"


@pytest.mark.parametrize(("capability", "chosen"), [((7, 5), "fp16"), ((8, 0), "bf16"), ((9, 0), "bf16")])
def test_a_card_that_only_emulates_bfloat16_computes_in_fp16(capability, chosen, monkeypatch):
    """A T4, the usual card on Colab, has capability 7.5; asked whether it supports bfloat16, PyTorch says yes."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *_, **__: True)
    assert fast_precision("cuda") == chosen
    assert fast_precision("mps") == "no"


def test_an_unknown_format_is_refused_with_the_choices():
    with pytest.raises(ValueError, match="unknown precision 'int8'; choose bf16, fp16 or no"):
        detect_hardware("int8")


@pytest.mark.skipif(torch.cuda.is_available() or torch.backends.mps.is_available(), reason="the CPU's refusal")
def test_float16_on_a_cpu_is_refused():
    with pytest.raises(ValueError, match="fp16 is for GPUs; on a processor choose bf16 or no"):
        detect_hardware("fp16")


def test_each_precision_has_one_number_format():
    assert [autocast_dtype(name) for name in ("bf16", "fp16", "no")] == [torch.bfloat16, torch.float16, torch.float32]
    with pytest.raises(ValueError, match="unknown precision 'int8'; choose bf16, fp16 or no"):
        autocast_dtype("int8")
