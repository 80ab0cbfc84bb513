"""Verifying a row: which one is meant, what has changed around it, and whether it holds."""

import contextlib
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import typer

from bench.home import Home
from bench.results import StoredResult, write_result
from bench.schema import Card, Environment, Normalisation, Result
from bench.statistics.verdicts import Verdict
from bench.suites.mini_v1 import MINI_V1
from submissions import cli
from submissions import verify as verify_module
from submissions.database import connect
from submissions.evaluate import Standing
from submissions.ledger import Ledger
from submissions.verify import Verified, environment_differences, find_row, only_stages, verify

ENVIRONMENT = Environment(
    python="3.12.1",
    platform="Linux",
    cpu="x86",
    threads=2,
    libraries={"torch": "2.15.0", "av": "18.1.0"},
    code_version="0.1.0",
    code_commit="a" * 40,
    code_dirty=False,
)
RANKS = [1, 2, 1, 1, 3, 1] * 10


def rows_of(ranks):
    n = len(ranks)
    words = {"stage": "linear_probe", "dataset": "motion", "model": "", "corruption": "clean"}
    columns = {name: np.array([word] * n) for name, word in words.items()}
    columns |= {
        "video_id": np.array([f"v{i:03d}" for i in range(n)]),
        "source": np.array([f"s{i:03d}" for i in range(n)]),
    }
    rank = np.array(ranks)
    numbers = {"label": np.zeros(n, int), "severity": np.zeros(n, int), "seed": np.zeros(n, int)}
    return {**columns, **numbers, "predicted": rank - 1, "rank": rank}


def result_of(name="one", digit="1", *, age=0, suite_hash=MINI_V1.hash, environment=ENVIRONMENT):
    return Result(
        result_id=f"{digit * 12}--{suite_hash[:12]}--{age}",
        card=Card(
            name=name,
            architecture="net",
            weight_hash=digit * 64,
            encoder_hash=digit * 64,
            normalisation=Normalisation(),
            feature_dim=8,
            parameters=100,
            owner="somebody",
        ),
        suite="mini-v1",
        suite_hash=suite_hash,
        suite_status="draft",
        created=datetime(2030, 1, 9, tzinfo=UTC) - timedelta(days=age),
        datasets=(),
        stages=(),
        scores=(),
        environment=environment,
        postable=True,
    )


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


def store(home, result, ranks=RANKS):
    return write_result(home.results, result, rows_of(ranks), ())


# Which row


def test_a_row_is_found_by_the_beginning_of_its_hash_id_or_name(home):
    one, other = store(home, result_of("one", "1")), store(home, result_of("other", "2"))
    for words in ("1111", "one", "ON", one.result.result_id):
        assert find_row(home, words) == one
    assert find_row(home, "2") == other


def test_of_one_encoders_results_the_newest_is_meant(home):
    store(home, result_of(age=3))
    newest = store(home, result_of(age=1))
    store(home, result_of(age=2))
    assert find_row(home, "1") == newest


def test_an_unknown_row_names_those_there_are(home):
    with pytest.raises(ValueError, match=r"^No result begins with 'x'\. Results here: none yet\.$"):
        find_row(home, "x")
    store(home, result_of("one", "1"))
    with pytest.raises(ValueError, match=r"^No result begins with 'x'\. Results here: 11111111 \(one\)\.$"):
        find_row(home, "x")


def test_words_that_mean_several_rows_are_refused(home):
    store(home, result_of("model a", "1"))
    store(home, result_of("model b", "2"))
    words = r"^'model' means several rows: \w+ \(model [ab]\), \w+ \(model [ab]\)\. Give more digits\.$"
    with pytest.raises(ValueError, match=words):
        find_row(home, "model")


# What has changed around it


def test_the_same_environment_differs_in_nothing():
    assert environment_differences(ENVIRONMENT, ENVIRONMENT) == ()


def test_every_difference_is_named_with_both_values():
    libraries = {"torch": "2.16.0", "numba": "0.65.0"}
    other = ENVIRONMENT.model_copy(update={"threads": 8, "code_commit": "b" * 40, "libraries": libraries})
    assert environment_differences(ENVIRONMENT, other) == (
        "threads: 2 then, 8 now",
        f"code commit: {'a' * 40} then, {'b' * 40} now",
        "av: 18.1.0 then, absent now",
        "numba: absent then, 0.65.0 now",
        "torch: 2.15.0 then, 2.16.0 now",
    )


# Whether it holds


@pytest.fixture
def judge_again(home, monkeypatch):
    """A second run that comes to these ranks in this environment."""
    asked = []

    def make(ranks, environment=ENVIRONMENT):
        def judge(checkpoint, suite, videos, scratch, *, standing, device, progress):
            asked.append((checkpoint, scratch, standing))
            assert not scratch.cache.exists()
            return store(scratch, result_of(environment=environment), ranks)

        monkeypatch.setattr(verify_module, "judge", judge)
        (home.weights / ("1" * 64)).mkdir(parents=True, exist_ok=True)
        return asked

    return make


def test_equal_predictions_are_a_match_from_the_kept_weights_with_an_empty_cache(home, judge_again):
    stored = store(home, result_of())
    asked = judge_again(RANKS)
    verified = verify(stored, MINI_V1, {}, home)
    assert (verified.verdict.name, verified.differs) == ("MATCH", ())
    ((checkpoint, scratch, standing),) = asked
    assert checkpoint == home.weights / ("1" * 64)
    assert scratch.root != home.root
    assert not scratch.root.exists()
    assert standing == Standing("one", "", "somebody")
    assert [path.name for path in home.results.iterdir()] == [stored.result.result_id]


def test_a_large_change_is_drift_only_where_the_environment_changed(home, judge_again):
    stored = store(home, result_of())
    worse = [2] * len(RANKS)
    judge_again(worse)
    assert verify(stored, MINI_V1, {}, home).verdict.name == "MISMATCH"
    judge_again(worse, ENVIRONMENT.model_copy(update={"cpu": "arm"}))
    verified = verify(stored, MINI_V1, {}, home)
    assert (verified.verdict.name, verified.differs) == ("DRIFT", ("cpu: x86 then, arm now",))


def test_some_stages_alone_are_run_again_and_the_verdict_says_which_were_not(home, judge_again):
    stored = store(home, result_of())
    judge_again(RANKS)
    verified = verify(stored, MINI_V1, {}, home, stages=("linear_probe", "retrieval"))
    assert verified.verdict.name == "MATCH"
    assert verified.verdict.words.endswith("Not run again: finetune, robustness, distillation, cka.")


def test_a_suite_of_some_stages_keeps_their_settings():
    narrowed = only_stages(MINI_V1, ("retrieval", "linear_probe"))
    assert [dataset.stages for dataset in narrowed.datasets] == [("linear_probe", "retrieval")] * 2
    assert narrowed.linear_probe == MINI_V1.linear_probe
    assert narrowed.hash != MINI_V1.hash


def test_a_stage_without_predictions_cannot_be_compared(home, judge_again):
    stored = store(home, result_of())
    judge_again(RANKS)
    with pytest.raises(ValueError, match="holds no prediction of cka"):
        verify(stored, MINI_V1, {}, home, stages=("cka",))


def test_a_row_of_another_protocol_is_refused_with_the_version_that_knows_it(home):
    stored = StoredResult(result_of(suite_hash="f" * 64), home.results)
    with pytest.raises(ValueError, match=r"scored under mini-v1 f{12}; .* Check out 0\.1\.0 \(a{12}\) to verify it\."):
        verify(stored, MINI_V1, {}, home)


def test_a_row_without_kept_weights_is_refused(home):
    stored = store(home, result_of())
    with pytest.raises(ValueError, match=r"^The weights 1{12} are not in .*\. Submit the checkpoint again\.$"):
        verify(stored, MINI_V1, {}, home)


# What becomes of the verdict


@pytest.mark.parametrize(
    ("name", "holds"), [("MATCH", True), ("WITHIN NOISE", True), ("DRIFT", False), ("MISMATCH", False)]
)
@pytest.mark.parametrize("spot", ["", "5%"])
def test_the_verdict_is_told_kept_beside_the_row_and_is_the_exit_code(home, monkeypatch, capsys, name, holds, spot):
    stored = store(home, result_of())
    asked = []

    def run_again(*given, **_):
        asked.append(given)
        return Verified(Verdict(name, "3 of 60 predictions differ."), ("cpu: x86 then, arm now",))

    monkeypatch.setenv("REELPROOF_HOME", str(home.root))
    monkeypatch.setattr(cli, "_opened", lambda *_, **__: (MINI_V1, {}))
    monkeypatch.setattr(verify_module, "spot_check" if spot else "verify", run_again)
    with contextlib.nullcontext() if holds else pytest.raises(typer.Exit) as left:
        cli.verify("one", spot=spot)
    assert holds or left.value.exit_code == 1
    assert asked[0][:2] == (stored, MINI_V1)
    assert asked[0][4:] == ((0.05,) if spot else ())
    words = f"{name}: 3 of 60 predictions differ. Environment: cpu: x86 then, arm now."
    assert capsys.readouterr().out.strip() == words
    (event,) = Ledger(connect(home.database_url)).events()
    assert (event.event, event.words, event.result_id) == ("verdict", words, stored.result.result_id)
    assert (event.encoder_hash, event.suite) == (stored.result.card.encoder_hash, "mini-v1")
