"""The command line: exit codes, and messages that name the value and the remedy."""

import errno
import os
import shutil
import subprocess
import sys

import polars as pl
import pytest

from bench import __version__
from bench.cli import VERBS
from bench.registry import KINDS, names
from bench.testing import clips


@pytest.fixture
def places(tmp_path):
    return ["--cache", tmp_path / "c", "--results", tmp_path / "r"]


def nothing_written(folder):
    return not [path for path in folder.rglob("*") if path.is_file()]


# -- help and verbs -------------------------------------------------------------------------------------


def test_help_names_every_verb(bench):
    for words in (["--help"], ["-h"], ["help"]):
        code, out, _ = bench(*words)
        assert code == 0
        assert all(f"  {verb}" in out for verb in VERBS)


def test_no_words_are_wrong_input_with_help(bench):
    code, out, _ = bench()
    assert code == 1
    assert "usage: bench VERB" in out


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(bench, verb):
    code, out, _ = bench(verb, "--help")
    assert code == 0
    assert out.startswith(f"usage: bench {verb}")


def test_version(bench):
    assert bench("--version")[:2] == (0, f"bench {__version__}\n")


def test_an_unknown_verb(bench):
    code, _, err = bench("rnu")
    assert code == 1
    assert "there is no verb 'rnu'. Did you mean 'run'? See `bench --help`" in err


def test_both_ways_to_start_it(tmp_path):
    for start in ([sys.executable, "-m", "bench"], [os.path.join(os.path.dirname(sys.executable), "bench")]):
        done = subprocess.run([*start, "--version"], capture_output=True, text=True, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (0, f"bench {__version__}\n")
        done = subprocess.run([*start, "extract", "--bogus"], capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 1
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "absent"),
    [
        (["--help"], {"numpy", "polars", "torch", "rich", "pyarrow"}),
        (["run", "--help"], {"torch"}),
        (["ls"], {"torch"}),
        (["doctor"], {"torch"}),
        (["report", "--published", "recsys2024"], {"torch", "matplotlib", "scipy", "jinja2"}),
    ],
)
def test_nothing_heavy_is_imported_for_little(words, absent, tmp_path):
    code = f"""
import sys
from bench.cli import main
try:
    main({words!r})
except SystemExit:
    pass
print("loaded:", *sorted({absent!r} & set(sys.modules)))
"""
    env = {**os.environ, "BENCH_CACHE": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, cwd=tmp_path)
    assert done.stdout.endswith("loaded:\n"), done.stdout[-200:] + done.stderr


# -- words that are wrong -------------------------------------------------------------------------------

RUN = ["run", "--extractor", "mfcc", "--model", "knn"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run"], "give --extractor and --model, such as `bench run --extractor mfcc --model knn`"),
        (["run", "--extractor", "mfcc"], "give --extractor and --model"),
        ([*RUN, "--sedes", "3"], "unrecognized arguments: --sedes 3. Did you mean '--seeds'"),
        ([*RUN, "--seed", "3"], "unrecognized arguments: --seed 3. Did you mean '--seeds'?"),  # no silent abbreviation
        ([*RUN, "--seeds", "0"], "argument --seeds: '0' is not a positive whole number"),
        ([*RUN, "--batch", "big"], "argument --batch: 'big' is not a positive whole number"),
        ([*RUN, "--max-failed", "-1"], "--max-failed"),
        ([*RUN, "--k", "5,x"], "'x' is not a positive whole number"),
        ([*RUN, "--lane", "fast"], "invalid choice: 'fast' (choose from"),
        ([*RUN, "--max-time", "-3m"], "argument --max-time: '-3m' is not a time: write minutes, or 90s, 10m, 2h"),
        ([*RUN, "--max-time", "--quiet"], "argument --max-time: expected one argument"),
        ([*RUN, "--from", "x.json"], "leave out --extractor, --model and --folds"),
        (["run", "--from", "x.json"], "there is no record x.json"),
        (["run", "--extractor", "mfc", "--model", "knn"], "no extractor is called 'mfc'. Did you mean 'mfcc'?"),
        (["run", "--extractor", "mfcc", "--model", "kn"], "no recommender is called 'kn'. Did you mean 'knn'"),
        (["run", "--extractor", "MFCC", "--model", "knn"], "no extractor is called 'MFCC'. Did you mean 'mfcc'?"),
        (["run", "--extractor", "zzz", "--model", "knn"], "no extractor is called 'zzz'. Known: aisfx, basic-pitch,"),
        (
            ["run", "--extractor", "mfcc:n_mfc=3", "--model", "knn"],
            "mfcc has no setting 'n_mfc'. Did you mean 'n_mfcc'",
        ),
        (["run", "--extractor", "mfcc:n_mfcc=many", "--model", "knn"], "n_mfcc='many' is not of type int"),
        (["run", "--extractor", "mfcc:n_mfcc=0", "--model", "knn"], "n_mfcc must lie between 1 and n_mels=128, got 0"),
        (["run", "--extractor", "mfcc:layer=9", "--model", "knn"], "there is no layer '9'; mfcc has mfcc"),
        (
            ["run", "--extractor", "mfcc", "--model", "knn:profile=min"],
            "profile=min is not one of mean, mean_normalized",
        ),
        (["run", "--extractor", "mfcc,", "--model", "knn"], "an empty name"),
        (["run", "--extractor", "none", "--model", "knn"], "knn needs item vectors"),
        (["run", "--extractor", "precomputed", "--model", "knn"], "precomputed needs path="),
        (["run", "--extractor", "precomputed:path=/no/v.npy", "--model", "knn"], "there is no file /no/v.npy"),
        (["run", "--extractor", "shuffled:of=mfc", "--model", "knn"], "no extractor is called 'mfc'"),
        (["run", "--extractor", "shuffled:of=(mfcc", "--model", "knn"], "the parentheses do not match"),
        (["extract"], "the following arguments are required: --extractor"),
        (["extract", "--extractor", "random", "--data", "dmo"], "no dataset is called 'dmo'. Did you mean 'demo'"),
        (
            ["export", "--extractor", "mfcc", "--out", "v.csv"],
            "--out v.csv: give a name ending in .npy, .parquet, .tsv",
        ),
        (["export", "--extractor", "mfcc,random", "--out", "v.npy"], "export writes one table, not 2"),
        (["report"], "nothing to report: name a folder with records, or --published NAME"),
        (["report", "--published", "recsys"], "no published numbers are called 'recsys'. Did you mean 'recsys2024'"),
        (["report", "--published", "recsys2024", "--metric", "ndgc"], "there is no metric 'ndgc'. Did you mean 'ndcg'"),
        (["leaderboard", "nowhere", "--out", "site"], "there is no results folder nowhere"),
        (["report", "nowhere"], "there is no results folder nowhere"),
        (["ls", "extractor"], "invalid choice: 'extractor'"),
        (["check", "mfccc"], "no extractor, recommender, task or engine is called 'mfccc'. Did you mean 'mfcc'"),
        (["check", "mfcc:n_mfc=2"], "mfcc has no setting 'n_mfc'"),
        (["check", "xyz"], "processes, random, recbole"),  # an extractor and a recommender: named once
    ],
)
def test_wrong_words_name_the_value_and_the_remedy(bench, tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "c"))
    code, out, err = bench(*words)
    assert code == 1
    assert said in err + out
    assert err.startswith("bench: ") or words[0] == "check"
    assert nothing_written(tmp_path)


def test_an_unknown_device(bench, small_world, places):
    for device in ("gpu", "cuda:99"):
        code, _, err = bench(*RUN, *small_world, *places, "--k", "5", "--device", device)
        assert code == 1
        assert f"--device {device}: " in err
        assert "computing" not in err


# -- folders and files that are wrong -------------------------------------------------------------------


def test_an_empty_folder_and_one_without_audio(bench, tmp_path, places):
    (tmp_path / "music").mkdir()
    words = ["extract", "--extractor", "mfcc", "--audio", tmp_path / "music", *places[:2]]
    code, _, err = bench(*words)
    assert code == 1
    assert f"no audio files in {tmp_path / 'music'}. Known extensions: " in err
    (tmp_path / "music" / "notes.txt").touch()
    assert "Files with other extensions: 1." in bench(*words)[2]
    assert (
        f"{tmp_path / 'nowhere'} does not exist" in bench(*words[:3], "--audio", tmp_path / "nowhere", *places[:2])[2]
    )


def test_a_list_with_wrong_columns(bench, tmp_path, places):
    (tmp_path / "list.csv").write_text("name,file\na,b\n")
    code, _, err = bench("extract", "--extractor", "mfcc", "--audio", tmp_path / "list.csv", *places[:2])
    assert code == 1
    assert "has no column track_id and no column path. Found: name, file. Expected: track_id (or id), path" in err


def test_a_log_with_wrong_columns(bench, tmp_path, places):
    (tmp_path / "log.csv").write_text("a,b\n1,2\n")
    code, _, err = bench("run", "--extractor", "random", "--model", "knn", "--listens", tmp_path / "log.csv", *places)
    assert code == 1
    assert "no column looks like the user; the header is 'a', 'b'. Say which one with --columns" in err


@pytest.mark.parametrize("which", ["--cache", "--results"])
def test_a_folder_that_cannot_be_written_stops_before_any_work(bench, tmp_path, small_world, which):
    (tmp_path / "file").touch()
    places = {"--cache": tmp_path / "c", "--results": tmp_path / "r", which: tmp_path / "file"}
    code, _, err = bench(*RUN, *small_world, *(word for pair in places.items() for word in pair))
    assert code == 1
    assert f"cannot write {tmp_path / 'file'}" in err
    assert f"choose another folder with {which}" in err or which in err
    assert "data:" not in err


def test_extract_into_a_file(bench, tmp_path, small_world):
    (tmp_path / "file").touch()
    code, _, err = bench("extract", "--extractor", "mfcc", "--audio", small_world[3], "--cache", tmp_path / "file")
    assert code == 1
    assert f"cannot write {tmp_path / 'file'}" in err


def test_report_on_a_folder_without_records(bench, tmp_path):
    code, _, err = bench("report", tmp_path)
    assert code == 1
    assert f"{tmp_path} holds no result record" in err
    (tmp_path / "odd.json").write_text("{}")
    code, _, err = bench("report", tmp_path)
    assert code == 1
    assert "odd.json is not a result record" in err


# -- extract, export and their exit codes ---------------------------------------------------------------


@pytest.fixture
def music(tmp_path):
    folder = tmp_path / "music"
    folder.mkdir()
    clips.write(folder, [0.5, 0.6, 0.7], 22_050)
    return folder


def test_exit_codes_of_extract(bench, music, places):
    words = ["extract", "--extractor", "mfcc", "--audio", music, *places[:2]]
    code, out, err = bench(*words)
    assert code == 0
    assert "3 recordings of 3 tracks to embed" in err
    assert "mfcc: 3 of 3 tracks have vectors (mfcc 104)" in out
    (music / "clip01.wav").write_text("broken")
    code, out, _ = bench(*words)
    assert code == 0
    assert "1 failed, listed in" in out
    assert bench(*words, "--max-failed", "1")[0] == 0
    code, out, _ = bench(*words, "--max-failed", "0")
    assert code == 2
    assert "1 tracks failed, more than --max-failed 0" in out
    for path in music.iterdir():
        path.write_text("broken")
    code, _, err = bench(*words)
    assert code == 1
    assert "all 3 tracks failed" in err


def test_what_hears_no_audio_has_nothing_to_extract(bench, music, places):
    code, _, err = bench("extract", "--extractor", "random", "--audio", music, *places[:2])
    assert code == 1
    assert "bench: random: " in err


@pytest.mark.parametrize("suffix", [".npy", ".parquet", ".tsv"])
def test_what_is_exported_can_be_read_back(bench, music, places, tmp_path, suffix):
    out = tmp_path / f"v{suffix}"
    again = tmp_path / f"again{suffix}"
    code, said, _ = bench("export", "--extractor", "mfcc", "--audio", music, *places[:2], "--out", out)
    assert code == 0
    assert f"{out}: 3 tracks x 104" in said
    words = ["export", "--extractor", f"precomputed:path={out}", "--audio", music, *places[:2], "--out", again]
    assert bench(*words)[0] == 0
    assert again.read_bytes() == out.read_bytes()


def test_files_that_link_to_themselves_fail_and_the_rest_is_exported(bench, music, places, tmp_path):
    folder = tmp_path / "linked"
    shutil.copytree(music, folder)
    (folder / "self.wav").symlink_to("self.wav")
    code, out, _ = bench("export", "--extractor", "mfcc", "--audio", folder, *places[:2], "--out", tmp_path / "v.tsv")
    assert code == 0
    assert "3 tracks x 104; 1 tracks have no vector" in out


@pytest.mark.skipif(os.name == "nt", reason="Windows takes no such names")
@pytest.mark.parametrize("mark", ["\n", "\r", "\u2028"])
def test_ids_with_a_line_break_are_not_exported_as_lines(bench, music, places, tmp_path, mark):
    folder = tmp_path / "odd"
    shutil.copytree(music, folder)
    next(folder.glob("*.wav")).rename(folder / f"a{mark}b.wav")
    words = ["export", "--extractor", "mfcc", "--audio", folder, *places[:2]]
    code, _, err = bench(*words, "--out", tmp_path / "v.npy")
    assert code == 1
    assert repr(f"a{mark}b") in err
    assert not (tmp_path / "v.npy").exists()
    assert bench(*words, "--out", tmp_path / "v.parquet")[0] == 0
    assert f"a{mark}b" in pl.read_parquet(tmp_path / "v.parquet")["track_id"].to_list()


def test_what_the_system_refuses_is_one_line(bench, monkeypatch, tmp_path):
    def full(_args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(tmp_path / "x"))

    monkeypatch.setattr("bench.cli.doctor.run", full)
    assert bench("doctor") == (1, "", f"bench: {tmp_path / 'x'}: No space left on device.\n")


def test_a_record_and_its_report(bench, small_world, places, tmp_path):
    words = ["run", "--extractor", "random", "--model", "knn", *small_world, *places, "--k", "5", "--reference", "none"]
    code, table, _ = bench(*words)
    assert code == 0
    code, shown, _ = bench("report", tmp_path / "r", "--out", tmp_path / "tables")
    assert code == 0
    written = {line for line in shown.splitlines() if line.startswith(str(tmp_path / "tables"))}
    assert {os.path.splitext(path)[1] for path in written} >= {".md", ".html", ".csv", ".tex"}
    assert all(os.path.getsize(path) for path in written)
    assert table.splitlines()[:8] == shown.splitlines()[:8]


def test_published_numbers_without_records(bench, tmp_path):
    code, shown, err = bench("report", "--published", "recsys2024", "--no-plots", "--out", tmp_path)
    assert (code, err) == (0, "")
    assert "BERT4Rec" in shown
    assert "0.385" in shown
    assert (tmp_path / "recsys2024-table-3.csv").exists()


# -- ls, doctor, check ----------------------------------------------------------------------------------


def test_ls_names_every_plugin(bench):
    code, out, _ = bench("ls")
    assert code == 0
    assert len(out.splitlines()) <= 24
    assert max(map(len, out.splitlines())) <= 100
    words = out.replace(",", " ").split()
    for kind in KINDS:
        assert words[words.index(kind) + 1] == str(len(names(kind)))
        assert set(names(kind)) <= set(words)
    code, out, _ = bench("ls", "datasets")
    assert code == 0
    assert "demo-long" in out
    assert "mfcc" not in out


@pytest.mark.skipif(os.name == "nt", reason="there are no closed pipes of this kind")
@pytest.mark.parametrize("words", [["--help"], ["ls"], ["weights", "ls"], ["report", "--published", "recsys2024"]])
def test_a_closed_pipe_ends_every_verb_quietly(words):
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb") as closed:
        done = subprocess.run([sys.executable, "-m", "bench", *words], stdout=closed, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (141, b"")


def test_lines_in_a_pipe_have_no_blanks_at_their_ends(bench):
    _, out, _ = bench("ls", "extractors")
    assert [line for line in out.splitlines() if line != line.rstrip()] == []


def test_doctor_names_every_plugin_and_finds_no_problem(bench, tmp_path):
    code, out, _ = bench("doctor", "--cache", tmp_path)
    assert code == 0, out
    for kind in KINDS:
        assert all(f"{kind[:-1]} {name}: " in out for name in names(kind))
    assert "BROKEN" not in out
    assert "no problem found" in out
    assert f"cache: {tmp_path} (exists)" in out


def test_doctor_finds_a_cache_that_is_no_folder(bench, tmp_path):
    (tmp_path / "file").touch()
    code, out, _ = bench("doctor", "--cache", tmp_path / "file")
    assert code == 1
    assert f"PROBLEM: {tmp_path / 'file'} cannot be written" in out


def test_a_broken_package_from_outside_breaks_nothing_else(tmp_path):
    for name, target in (("broken", "no_such_module:Thing"), ("mfcc", "elsewhere:MFCC")):
        about = tmp_path / f"outside_{name}-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: outside-{name}\nVersion: 1.0\n")
        (about / "entry_points.txt").write_text(f"[bench.extractors]\n{name} = {target}\n")
    env = {**os.environ, "PYTHONPATH": str(tmp_path), "BENCH_CACHE": str(tmp_path / "c"), "COLUMNS": "200"}

    def run(*words):
        return subprocess.run([sys.executable, "-m", "bench", *words], env=env, capture_output=True, text=True)

    listed = run("ls")
    assert listed.returncode == 0
    assert "precomputed" in listed.stdout
    told = run("doctor")
    assert "extractor broken: outside-broken 1.0, BROKEN: " in told.stdout
    assert "No module named 'no_such_module'" in told.stdout
    assert "claimed by" in told.stdout
    used = run("run", "--extractor", "mfcc", "--model", "knn")
    assert used.returncode == 1
    assert "is claimed by" in used.stderr
    assert "Uninstall one of them" in used.stderr
    used = run("run", "--extractor", "broken", "--model", "knn")
    assert used.returncode == 1
    assert "outside-broken 1.0 cannot be imported" in used.stderr


@pytest.mark.parametrize("name", ["knn", "popularity", "random", "gaussian:of=random"])
def test_check_passes_and_says_how_many(bench, name):
    code, out, _ = bench("check", name)
    assert code == 0, out
    assert " passed, 0 failed" in out
