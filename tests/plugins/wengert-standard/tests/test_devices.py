"""Both devices pass the suite of wengert's own devices; what they refuse stands here, with reasons."""

import pytest

from wengert.testing import DeviceSuite
from wengert_xp.standard import NO_FUNCTION, NO_STRIDES, NOT_WRITTEN


class TestStrict(DeviceSuite):
    device = "strict"
    gaps = {
        **NOT_WRITTEN, **NO_FUNCTION, **NO_STRIDES,
        "wengert.half": "the standard has no float16",
        "program-2": "its expanded arrays cannot be written to",
    }  # fmt: skip
    needs = ("array_api_strict",)


class TestTorch(DeviceSuite):
    device = "torch"
    gaps = {
        **NOT_WRITTEN,
        **dict.fromkeys("j0 j1 k0 k0e k1 k1e y0 y1".split(), "torch.special has it under another name"),
    }
    needs = ("torch",)


@pytest.mark.parametrize(("suite", "wanted"), [(TestStrict, 0.6), (TestTorch, 0.7)])
def test_most_rows_run(suite, wanted):
    from wengert.testing.cases import every

    rows = {name for name, case in every().items() if case.samples and not case.random and name != "to_device"}
    run = rows - set(suite.gaps)
    print(f"{suite.device}: {len(run)} of {len(rows)} rows")
    assert len(run) / len(rows) >= wanted
