"""The table of drafts: which numbers their errors have, and what each asks for where they differ."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg.dap.dialect import DAP_09, DAP_18, DAP_19, DEFAULT, DIALECTS, STATED, UNNAMED, Dialect, find_dialect
from secagg.dap.messages import ReportError
from secagg.errors import LocalProtocolError

ALL = pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
NUMBERS = {
    "dap-19": """batch_collected report_replayed report_dropped hpke_unknown_config_id hpke_decrypt_error
        vdaf_verify_error invalid_message report_too_early unknown_verification_key_id unsupported_extension""",
    "dap-09": """batch_collected report_replayed report_dropped hpke_unknown_config_id hpke_decrypt_error
        vdaf_verify_error batch_saturated task_expired invalid_message report_too_early""",
    "dap-18": """batch_collected report_replayed report_dropped hpke_unknown_config_id hpke_decrypt_error
        vdaf_verify_error task_expired invalid_message report_too_early task_not_started outdated_config""",
}
"""Section 4.1 of drafts 18 and 19, from number 1 on; and draft 9's section 4.5.1.2, from number 0 on, which has
vdaf_prep_error for vdaf_verify_error."""


@pytest.mark.parametrize(("name", "names"), NUMBERS.items(), ids=NUMBERS)
def test_report_errors_have_the_drafts_numbers(name: str, names: str) -> None:
    dialect = DIALECTS[name]
    for number, name in enumerate(names.split(), start=0 if dialect is DAP_09 else 1):
        assert dialect.report_error(number) is ReportError(name)
        assert dialect.error_number(ReportError(name)) == number
    assert len(dialect.report_errors) == len(names.split())


def test_a_number_is_another_error_in_another_draft() -> None:
    assert (DAP_19.report_error(7), DAP_18.report_error(7)) == (ReportError.INVALID_MESSAGE, ReportError.TASK_EXPIRED)
    assert DAP_19.report_error(11) == "unknown_11"
    assert DAP_18.report_error(11) is ReportError.OUTDATED_CONFIG
    assert (DAP_09.report_error(0), DAP_09.report_error(10)) == (ReportError.BATCH_COLLECTED, "unknown_10")


@ALL
@given(st.integers(1, 255))
def test_every_number_is_an_error_and_known_ones_come_back(dialect: Dialect, number: int) -> None:
    error = dialect.report_error(number)
    assert ReportError(error.value) == error
    if number < len(dialect.report_errors) + dialect.first_error:
        assert dialect.error_number(error) == number
    else:
        assert error.name == f"UNKNOWN_{number}"


@pytest.mark.parametrize("text", ["unknown_0", "unknown_256", "unknown_012", "unknown_", "dropped", ""])
def test_no_other_text_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="is not a valid ReportError"):
        ReportError(text)


@ALL
def test_a_draft_has_a_number_for_all_that_it_asks_for(dialect: Dialect) -> None:
    """What an Aggregator answers in this dialect can be written. Uploads of one report are refused by problems."""
    asked = [*vars(dialect.in_job).values(), *(vars(dialect.at_upload).values() if dialect.bulk else ())]
    asked += [] if dialect.unknown_key is None else [dialect.unknown_key]
    everywhere = ("batch_collected", "report_replayed", "report_too_early", "invalid_message", "vdaf_verify_error")
    for error in [*asked, *(ReportError(name) for name in everywhere), ReportError.HPKE_DECRYPT_ERROR]:
        assert dialect.report_error(dialect.error_number(error)) is error


def test_an_error_of_another_draft_is_not_written() -> None:
    with pytest.raises(ValueError, match="not in tuple"):
        DAP_19.error_number(ReportError.TASK_EXPIRED)
    with pytest.raises(ValueError, match="not in tuple"):
        DAP_18.error_number(ReportError.UNKNOWN_VERIFICATION_KEY_ID)


def test_dialects_are_found_by_name() -> None:
    assert [find_dialect(name) for name in ("dap-19", "dap-18", "dap-09")] == [DAP_19, DAP_18, DAP_09]
    with pytest.raises(LocalProtocolError, match="dialect 'dap-20' is not supported: use a newer program"):
        find_dialect("dap-20")


def test_a_dialect_of_clients_alone_is_one_that_all_parties_have() -> None:
    """So its name in a file or a store leads to it, and the task extension from there to the Clients'."""
    assert set(STATED) <= set(DIALECTS)
    for name, dialect in STATED.items():
        assert dialect.in_configuration
        assert dialect.tag == DIALECTS[name].tag
        assert not DIALECTS[name].in_configuration


def test_new_tasks_speak_draft_19_and_old_ones_go_on_in_draft_18() -> None:
    assert (DEFAULT, UNNAMED) == (DAP_19, DAP_18)
