"""fit: the numbers of a loop by hand, the same numbers after any interruption, and every bad input by its name."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

import catlearn as cl
from catlearn import errors
from catlearn.learn import checkpoint
from catlearn.learn import data as datasets
from catlearn.learn.network import digest
from catlearn.learn.training import Training
from tests.learn.killed import NET, X, Y, options, train

# sums over a batch depend on the number of threads in the last bit, so another process has as many
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
SMALL = cl.linear(cl.R(6), cl.R(3))


def learner(net=SMALL, loss=cl.cross_entropy, cell=None):
    return cl.learner(net, loss, cell or cl.sgd(0.1, 0.9))


def same(a, b):
    """Equal to the bit: parameters, state, optimiser, and history but for the clock."""
    strip = lambda h: [{k: v for k, v in r.items() if k != "seconds"} for r in h]  # noqa: E731
    assert strip(a.history) == strip(b.history)
    for left, right in ((a.params, b.params), (a.state, b.state), (a.final.params, b.final.params)):
        assert left.keys() == right.keys() and all(torch.equal(left[k], right[k]) for k in left)
    slots, others = a.final.optimiser.slots, b.final.optimiser.slots
    assert all(torch.equal(slots[s][k], others[s][k]) for s in slots for k in slots[s])
    assert a.final.step == b.final.step


@pytest.fixture(scope="module")
def whole():
    """A run that nothing interrupts, without a checkpoint."""
    o = options(None, False)
    o.pop("save_every")
    return cl.learner(NET, cl.cross_entropy, cl.adamw(0.02)).fit((X, Y), (X[:32], Y[:32]), **o)


# --- the numbers ------------------------------------------------------------------------------------------------------


def test_fit_is_the_loop_by_hand():
    fitted = learner().fit((X, Y), epochs=3, batch_size=20, shuffle=False, seed=2)
    p = {k: v.clone().requires_grad_() for k, v in learner().init(2).params.items()}
    optimiser, losses = torch.optim.SGD(p.values(), 0.1, 0.9), []
    for _ in range(3):
        total = 0.0
        for i in range(0, 96, 20):
            optimiser.zero_grad()
            loss = F.cross_entropy(F.linear(X[i : i + 20], *p.values()), Y[i : i + 20])
            loss.backward()
            optimiser.step()
            total += loss.item() * len(X[i : i + 20])
        losses.append(total / 96)
    assert [r["loss"] for r in fitted.history] == losses
    assert all(torch.equal(fitted.params[k], p[k]) for k in p)


@pytest.mark.parametrize("kind", ["dataset", "loader", "list"])
def test_other_kinds_of_data_give_the_same(kind):
    expected = learner().fit((X, Y), epochs=2, batch_size=16, shuffle=False)
    data = {"dataset": TensorDataset(X, Y), "loader": DataLoader(TensorDataset(X, Y), 16),
            "list": [(X[i : i + 16], Y[i : i + 16]) for i in range(0, 96, 16)]}[kind]  # fmt: skip
    same(learner().fit(data, epochs=2, batch_size=16, shuffle=False), expected)


def test_accumulation_is_torchs_and_the_rest_of_an_epoch_counts_in_full():
    fitted = learner().fit((X[:80], Y[:80]), epochs=2, batch_size=16, shuffle=False, accumulate=3)  # 5 batches: 3 and 2
    p = {k: v.clone().requires_grad_() for k, v in learner().init(0).params.items()}
    optimiser = torch.optim.SGD(p.values(), 0.1, 0.9)
    for _ in range(2):
        for group in ([0, 16, 32], [48, 64]):
            optimiser.zero_grad()
            for i in group:
                (F.cross_entropy(F.linear(X[i : i + 16], *p.values()), Y[i : i + 16]) / len(group)).backward()
            optimiser.step()
    assert all(torch.equal(fitted.params[k], p[k]) for k in p) and fitted.final.step == 4


def test_schedules_and_clipping_are_torchs():
    make = lambda o: torch.optim.lr_scheduler.StepLR(o, 2, 0.5)  # noqa: E731
    fitted = learner().fit((X, Y), epochs=2, batch_size=32, shuffle=False, schedule=make, clip_norm=0.2)
    p = {k: v.clone().requires_grad_() for k, v in learner().init(0).params.items()}
    optimiser = torch.optim.SGD(p.values(), 0.1, 0.9)
    scheduler = make(optimiser)
    for _ in range(2):
        for i in range(0, 96, 32):
            optimiser.zero_grad()
            F.cross_entropy(F.linear(X[i : i + 32], *p.values()), Y[i : i + 32]).backward()
            torch.nn.utils.clip_grad_norm_(p.values(), 0.2)
            optimiser.step()
            scheduler.step()
    for k in p:
        torch.testing.assert_close(fitted.params[k], p[k].detach(), rtol=1e-6, atol=1e-7)
    plain = learner().fit((X, Y), epochs=2, batch_size=32, shuffle=False)
    assert not torch.allclose(plain.params["linear.bias"], fitted.params["linear.bias"], atol=1e-4)


def test_a_seed_decides_everything(whole):
    same(train(None, save_every=None), whole)
    other = train(None, save_every=None, seed=6)
    assert not torch.equal(other.params["linear.weight"], whole.params["linear.weight"])


def test_the_trained_model_scores_what_the_history_says(whole):
    best = min(whole.history, key=lambda r: r["val_loss"])  # patience keeps the best
    y = whole.model().eval()(X[:32])
    assert F.cross_entropy(y, Y[:32]).item() == pytest.approx(best["val_loss"], rel=1e-5)
    assert (y.argmax(-1) == Y[:32]).float().mean().item() == pytest.approx(best["val_accuracy"])
    assert best["val_accuracy"] > 0.7


def test_early_stopping_waits_and_keeps_the_best():
    values = iter([3.0, 1.0, 2.0, 2.5, 0.1])
    fitted = learner().fit(
        (X, Y), (X, Y), epochs=9, patience=2, monitor="val_score_loss", metrics={"score_loss": lambda y, t: next(values)}
    )
    assert fitted.stopped == "patience" and [r["val_score_loss"] for r in fitted.history] == [3.0, 1.0, 2.0, 2.5]
    second = learner().fit((X, Y), epochs=2)
    assert torch.equal(fitted.params["linear.weight"], second.params["linear.weight"])
    assert not torch.equal(fitted.final.params["linear.weight"], second.params["linear.weight"])


@pytest.mark.parametrize("how", [{"autocast": torch.bfloat16}, {"scope": True}])
def test_the_autograd_way_learns_the_same(how, whole):
    """Autocast within bfloat16's precision; an activation checkpoint to the bit but for the noise of dropout, so without it."""
    h = cl.R(16)
    net = (cl.linear(cl.R(6), h) >> cl.gelu).named("body") >> cl.linear(h, cl.R(3))
    plain = learner(net).fit((X, Y), epochs=2)
    if how.pop("scope", False):
        again = learner(net.at("body").checkpoint()).fit((X, Y), epochs=2)
        same(again, plain)
    else:
        again = learner(net).fit((X, Y), epochs=2, **how)
        for k in plain.params:
            torch.testing.assert_close(again.params[k], plain.params[k], rtol=0.1, atol=0.02)
        assert not torch.equal(again.params["linear.weight"], plain.params["linear.weight"])


# --- stopping and going on --------------------------------------------------------------------------------------------


def test_a_checkpointed_run_has_the_same_numbers(whole, tmp_path):
    same(train(tmp_path / "run.ckpt"), whole)


@pytest.mark.parametrize("steps", [1, 6, 11, 24])
def test_resuming_after_an_interrupt_goes_on_to_the_bit(whole, tmp_path, steps):
    path = tmp_path / "run.ckpt"
    command = [sys.executable, "-m", "tests.learn.killed", str(path), "interrupt", str(steps)]
    said = subprocess.run(command, capture_output=True, text=True, check=True, env=ENVIRONMENT).stdout
    assert said.splitlines()[-1] == f"interrupted {steps} True"  # and the handler of before is back
    same(train(path, resume=True), whole)


def test_killed_in_the_middle_and_resumed_gives_the_same_numbers(whole, tmp_path):
    path = tmp_path / "run.ckpt"
    command = [sys.executable, "-m", "tests.learn.killed", str(path), "afresh", "0.3"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT)
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) == 2:
            break
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    _, notes = checkpoint.load(path)
    assert 1 <= notes["epoch"] < 6
    same(train(path, resume=True), whole)
    same(train(path, resume=True), whole)  # a finished run resumes to itself


def test_a_torch_optimiser_resumes_to_the_bit(tmp_path):
    path, make = tmp_path / "run.ckpt", torch.optim.NAdam
    whole = learner(cell=make).fit((X, Y), epochs=4)
    learner(cell=make).fit((X, Y), epochs=2, checkpoint=path)
    same(learner(cell=make).fit((X, Y), epochs=4, checkpoint=path, resume=True), whole)


def test_a_shuffling_loader_resumes_to_the_bit(tmp_path):
    path, loader = tmp_path / "run.ckpt", DataLoader(TensorDataset(X, Y), 16, shuffle=True)
    before = torch.random.get_rng_state()
    whole = learner().fit(loader, epochs=4)
    assert torch.equal(before, torch.random.get_rng_state())  # nobody else's randomness is touched
    learner().fit(loader, epochs=3, checkpoint=path)
    same(learner().fit(loader, epochs=4, checkpoint=path, resume=True), whole)


@pytest.mark.parametrize("stop", [{"epochs": 3}, {"epochs": 4, "max_seconds": 0.0}])
def test_a_loader_with_a_generator_resumes_to_the_bit(tmp_path, stop):
    path = tmp_path / "run.ckpt"

    def loader(seed):
        return DataLoader(TensorDataset(X, Y), 16, shuffle=True, generator=torch.Generator().manual_seed(seed))

    one = loader(3)
    assert isinstance(one.generator, torch.Generator)
    before = one.generator.get_state()
    whole = learner().fit(one, epochs=4)
    assert torch.equal(before, one.generator.get_state())
    learner().fit(loader(3), checkpoint=path, **stop)
    with pytest.raises(errors.BadTraining, match=r"loader seeds: \[3\] in the file, \[4\] here"):
        learner().fit(loader(4), epochs=4, checkpoint=path, resume=True)
    same(learner().fit(loader(3), epochs=4, checkpoint=path, resume=True), whole)
    assert learner().fit(loader(4), epochs=4).history[0]["loss"] != whole.history[0]["loss"]
    orders = [[y.tolist() for _, y in datasets.of(one, 16, True, 0).epoch(k)] for k in (0, 1, 0)]
    assert orders[0] == orders[2] != orders[1]


def test_max_seconds_and_callbacks_stop():
    assert learner().fit((X, Y), epochs=10**6, max_seconds=0.2).stopped == "max_seconds"
    seen = []
    fitted = learner().fit((X, Y), epochs=9, callbacks=(lambda record, training: seen.append(record["epoch"]) or len(seen) == 3,))
    assert fitted.stopped == "callback" and seen == [1, 2, 3]


def test_starting_from_given_parameters():
    first = learner().fit((X, Y), epochs=2)
    on = learner().fit((X, Y), epochs=1, start=first.final)
    assert on.final.step == 9
    plain = learner().fit((X, Y), epochs=1, start=first.params)
    assert plain.final.step == 3 and not torch.equal(on.params["linear.bias"], plain.params["linear.bias"])


# --- bad input --------------------------------------------------------------------------------------------------------


def test_nan_loss_names_step_and_parameter_and_keeps_the_last_good(tmp_path):
    path, bad = tmp_path / "run.ckpt", X.clone()
    bad[40] = float("nan")
    with pytest.raises(errors.NotANumber, match=r"step 3.*\n.*input 0") as caught:
        learner().fit((bad, Y), epochs=2, batch_size=16, shuffle=False)
    assert caught.value.step == 3 and all(torch.isfinite(v).all() for v in caught.value.last_good.params.values())

    learner(cell=cl.sgd(0.1)).fit((X, Y), epochs=1, batch_size=96, checkpoint=path)
    kept = path.read_bytes()
    for more in ({"schedule": lambda s: float("inf") if s else 1.0}, {"schedule": lambda s: 1e39 if s else 1.0, "val": (X, Y)}):
        with pytest.raises(errors.NotANumber, match=r"linear.weight is not finite after step 2|validation loss") as caught:
            learner(cell=cl.sgd(0.1)).fit((X, Y), epochs=9, batch_size=96, checkpoint=path, resume=True, **more)
        good = caught.value.last_good.params
        assert path.read_bytes() == kept and torch.equal(good["linear.weight"], checkpoint.load(path)[0]["now/params//linear.weight"])


def test_labels_that_are_all_left_out_are_named():
    with pytest.raises(errors.NotANumber, match=r"step 2(.*\n)*.*input 1: every label is -100") as caught:
        learner().fit([(X, Y), (X, torch.full_like(Y, -100))], epochs=1)
    assert "largest" not in str(caught.value)


def test_a_report_leaves_out_parameters_without_entries():
    net = cl.linear(cl.R(6), cl.R(0)) >> cl.linear(cl.R(0), cl.R(3))
    with pytest.raises(errors.NotANumber, match=r"overflows.*largest parameter is linear_1\.bias"):
        run = Training(learner(net), learner(net).start({name: torch.ones(p.space[0].shape) for name, p in net.params.items()}))
        run.fail(float("inf"), (X, Y))


def test_parameters_that_stop_being_finite_within_an_epoch_are_named():
    with pytest.raises(errors.NotANumber, match=r"at step 3(.*\n)*.*parameter linear.weight") as caught:
        learner(cell=cl.sgd(0.1)).fit((X, Y), epochs=2, batch_size=16, schedule=lambda step: float("inf") if step == 1 else 1.0)
    assert caught.value.step == 3
    start = learner().init(0).params
    assert all(torch.equal(caught.value.last_good.params[k], start[k]) for k in start)  # the start of the epoch, which was finite


def test_a_truncated_or_foreign_checkpoint_is_refused_and_kept(tmp_path):
    path = tmp_path / "run.ckpt"
    learner().fit((X, Y), epochs=1, checkpoint=path)
    whole = path.read_bytes()
    from safetensors.torch import save

    for content in (whole[: len(whole) // 2], whole[:7], b"", b"hello, this is another file" * 9, save({"x": torch.ones(2)})):
        path.write_bytes(content)
        for resume in (True, False):
            with pytest.raises(errors.BadFile):
                learner().fit((X, Y), epochs=1, checkpoint=path, resume=resume)
            assert path.read_bytes() == content
    assert [p.name for p in tmp_path.iterdir()] == ["run.ckpt"]  # nothing half written is left


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    path = tmp_path / "run.ckpt"
    learner().fit((X, Y), epochs=1, checkpoint=path)
    for other, more, words in (
        (learner(), {"batch_size": 7}, "batch_size: 32 in the file, 7 here"),
        (learner(cell=cl.sgd(0.2)), {}, "optimiser"),
        (learner(NET), {}, "parameters"),
        (learner(SMALL >> cl.tanh), {}, "boxes: .* in the file, .*1 tanh here"),
        (learner(SMALL >> cl.leaky_relu(slope=0.5)), {}, "boxes"),
        (learner(), {"autocast": True}, "autocast: None in the file, torch.bfloat16 here"),
        (learner(), {"schedule": cl.schedules.cosine(9)}, "schedule: 1.0 at step 1 in the file"),
    ):
        with pytest.raises(errors.BadTraining, match=rf"another run(.*\n)*.*{words}"):
            other.fit((X, Y), epochs=2, checkpoint=path, resume=True, **more)


def test_a_network_is_known_by_its_attributes_and_its_wiring_not_by_where_it_starts():
    def of(term):
        return digest(term.graph)

    x = cl.R(6)
    assert of(cl.leaky_relu(x, slope=0.5)) != of(cl.leaky_relu(x, slope=0.25))
    assert of(cl.copy(x) >> cl.relu(x) @ cl.tanh(x) >> cl.add(x)) != of(cl.copy(x) >> cl.relu(x) @ cl.relu(x) >> cl.add(x))
    assert of(cl.relu(x) @ cl.id(x)) != of(cl.id(x) @ cl.relu(x))
    first, second = (cl.from_module(torch.nn.Linear(6, 3), x, cl.R(3)) for _ in range(2))
    assert of(first) == of(second)


def test_a_network_is_known_in_another_process():
    code = """if True:
        import catlearn as cl
        from catlearn.learn.network import digest
        n, m = cl.dim("n"), cl.dim("m")
        print(digest((cl.linear(cl.R(n * m + 2 * n), cl.R(m)) >> cl.leaky_relu(slope=0.5)).graph))"""
    said = {subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                           env={**ENVIRONMENT, "PYTHONHASHSEED": seed}).stdout for seed in ("1", "2")}  # fmt: skip
    assert len(said) == 1 and len(said.pop().strip()) == 16


@pytest.mark.parametrize(("data", "error", "words"), [
    ((X[:0], Y[:0]), errors.BadTraining, "no examples"),
    ((X, Y[:5]), errors.BadTraining, "different numbers"),
    ((X,), errors.BadInput, "1 inputs given, 2 needed"),
    ((X[:, :5], Y), errors.BadInput, r"needed \(\*batch, 6\)"),
    ((X, Y.float()), errors.BadInput, "integer"),
    ((X, Y + 3), errors.BadInput, "out of range"),
    ((X.double(), Y), errors.BadInput, "two dtypes"),
    ([(X, Y), (X[:0], Y[:0])], errors.BadTraining, "batch 1 of epoch 1 is empty"),
    ([(X, Y), (X[:, :2], Y)], errors.BadInput, "shape"),
    (iter([]), errors.BadTraining, "no batch"),
    ("nonsense", errors.BadTraining, "no data"),
    ((X, Y.int()), errors.BadInput, "int64"),
    ([(X, Y.int())], errors.BadInput, "int64"),
    ([{"x": X, "y": Y}], errors.BadTraining, "batch 0 of epoch 1 holds a dict"),
    ([(X, Y), (X, Y.tolist())], errors.BadTraining, "batch 1 of epoch 1 holds a list"),
])  # fmt: skip
def test_bad_data_is_named(data, error, words):
    with pytest.raises(error, match=words):
        learner().fit(data, epochs=2)


def test_labels_of_a_single_step_are_int64():
    with pytest.raises(errors.BadInput, match="int64"):
        learner().step(learner().init(), X, Y.int())


def test_autocast_true_is_bfloat16():
    runs = [learner().fit((X, Y), epochs=1, autocast=how) for how in (True, torch.bfloat16, False, None)]
    same(runs[0], runs[1])
    same(runs[2], runs[3])


def test_a_monitor_that_nobody_measures_is_found_before_the_first_step():
    seen = []
    for monitor, more in (("val_acc", {"val": (X, Y)}), ("val_accuracy", {}), ("accuracy", {"val": (X, Y)})):
        with pytest.raises(errors.BadTraining, match=f"{monitor}.*(\n.*)*measured are"):
            learner().fit((X, Y), patience=1, monitor=monitor, metrics=["accuracy"], schedule=lambda s: seen.append(s) or 1.0, **more)
    assert set(seen) == {0} and len(seen) == 3  # only what tells a schedule from a factory of schedulers
    assert learner().fit((X, Y), (X, Y), epochs=1, patience=1, monitor="val_accuracy", metrics=["accuracy"]).history


@pytest.mark.parametrize(("given", "words"), [
    ({"autocast": "bf16"}, r"autocast=torch.bfloat16, or True"), ({"autocast": torch.int8}, "autocast"),
    ({"epoch": 3}, "no option epoch"), ({"batch_size": 0}, "batch_size=0"), ({"accumulate": 0}, "accumulate"),
    ({"resume": True}, "need a file"),
    ({"autocast": torch.float16}, "bfloat16"), ({"metrics": ["f1"]}, "known by name: accuracy"), ({"schedule": 3}, "no schedule"),
    ({"patience": 1, "monitor": "val_loss"}, "not measured"), ({"clip_norm": -1.0}, "above 0"),
])  # fmt: skip
def test_bad_options_are_named(given, words):
    with pytest.raises(errors.BadTraining, match=words):
        learner().fit((X, Y), **given)


# --- what is shown ----------------------------------------------------------------------------------------------------


def test_progress_without_a_terminal_prints_a_line_an_epoch(capsys):
    learner().fit((X, Y), epochs=2, progress=True)
    lines = capsys.readouterr().out.strip().splitlines()
    assert len(lines) == 2 and lines[0].startswith("epoch 1/2  loss ")


def test_progress_in_a_terminal(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    learner().fit((X, Y), epochs=2, progress=True)
    assert "epoch 2/2" in capsys.readouterr().out


def test_plot(whole, tmp_path):
    figure = whole.plot(tmp_path / "curve.svg")
    assert "<svg" in (tmp_path / "curve.svg").read_text()
    drawn = {line.get_label(): list(line.get_ydata()) for axes in figure.axes for line in axes.get_lines()}
    assert drawn["val loss"] == [r["val_loss"] for r in whole.history] and "val accuracy" in drawn


def test_history_is_json(whole):
    assert json.loads(json.dumps(whole.history)) == whole.history


def test_schedules():
    s = cl.schedules
    assert [s.warmup(4)(k) for k in range(6)] == [0.25, 0.5, 0.75, 1, 1, 1]
    peer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(peer, 10)
    for k in range(10):
        assert s.cosine(10)(k) == pytest.approx(peer.param_groups[0]["lr"])
        peer.step(), scheduler.step()
    assert s.linear(4)(1) == 0.75 and s.constant(0.5)(7) == 0.5
    with pytest.raises(errors.BadTraining):
        s.cosine(0)
    start = time.monotonic()
    assert s.from_torch(torch.optim.lr_scheduler.ConstantLR)(3) == pytest.approx(1 / 3) and time.monotonic() - start < 5


def test_labels_that_do_not_count_train_as_in_torch():
    x, y = torch.randn(8, 3, generator=torch.Generator().manual_seed(1)), torch.tensor([0, 1, -100, 2, -100, 0, 1, 2])
    learner = cl.learner(cl.linear(cl.R(3), cl.R(3)), cl.cross_entropy, cl.sgd(0.5))
    start = learner.init()
    weight, bias = (p.clone().requires_grad_() for p in start.params.values())
    F.cross_entropy(F.linear(x, weight, bias), y).backward()
    for data in ((x, y), [(x, y)]):
        fitted = learner.fit(data, data, epochs=1, batch_size=8, shuffle=False, start=start)
        assert torch.equal(fitted.params["linear.weight"], weight.detach() - 0.5 * weight.grad)
        assert torch.equal(fitted.params["linear.bias"], bias.detach() - 0.5 * bias.grad)
    with pytest.raises(errors.BadInput, match="from -1 to 2"):
        learner.fit((x, y.clamp(min=-1)))


def test_a_network_is_known_by_the_expressions_in_it(tmp_path):
    def scaled(by):
        net = cl.linear(cl.R(2), cl.R(2)) >> cl.box("scaled", cl.R(2), cl.R(2), torch=f"{{x0}} * {by}")
        return cl.learner(net, cl.mse, cl.sgd(0.1))

    data = torch.ones(4, 2), torch.zeros(4, 2)
    scaled(2).fit(data, epochs=1, checkpoint=tmp_path / "run")
    with pytest.raises(errors.BadTraining, match="network"):
        scaled(3).fit(data, epochs=2, checkpoint=tmp_path / "run", resume=True)
    assert scaled(2).fit(data, epochs=2, checkpoint=tmp_path / "run", resume=True).stopped == "epochs"


def test_data_without_numbers_or_on_several_devices_is_named():
    learner, x = cl.learner(cl.linear(cl.R(2), cl.R(2)), cl.mse, cl.sgd(0.1)), torch.ones(4, 2)
    for data, device in (((x, x.to("meta")), None), ((x, x), "meta")):
        with pytest.raises(errors.BadTraining, match="several devices"):
            learner.fit(data, epochs=1, device=device)


def test_a_bad_input_is_the_datas_fault():
    with pytest.raises(errors.NotANumber, match=r"first not finite: input 0\s+next: look at the data; error"):
        cl.learner(cl.linear(cl.R(2), cl.R(2)), cl.mse, cl.sgd(0.1)).fit((torch.full((4, 2), torch.nan), torch.zeros(4, 2)), epochs=1)
