"""The front page of a leaderboard in a real browser: sorting, filter, columns, addresses; nothing from outside."""

import html as html_module
import json
import re
import shutil
import subprocess

import pytest

from bench.report.writers.leaderboard import write

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
REAL = {"data": "music4all-onion", "builtin": False}


@pytest.fixture
def site(results, tmp_path):
    results.comparison(**REAL)
    results.add("random", level=0.05, control=True, **REAL)
    results.add("weak", level=0.05, **REAL)
    results.add("shuffled:of=weak", level=0.05, control=True, **REAL)
    results.add("none", "ease", level=0.3, sets=("hot",), **REAL)
    write(results.read(), tmp_path / "site")
    return tmp_path / "site"


def opened(site, tmp_path, address="", script="", name="index.html"):
    """Return what `script`, an expression, gives on a page, and the messages of its console."""
    page = (site / name).read_text(encoding="utf-8")
    probe = (
        "<script>window.errors=[];window.onerror=(m)=>{errors.push(String(m))};"
        "setTimeout(()=>{const out=document.createElement('pre');out.id='probe';"
        f"out.textContent=JSON.stringify([(()=>{{{script}}})(),errors]);document.body.append(out)}},400)</script>"
    )
    copy = site / f"probe-{name}"
    copy.write_text(page.replace("<body>", f"<body>{probe}", 1), encoding="utf-8")
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}",
        "--virtual-time-budget=3000", "--dump-dom", f"{copy.as_uri()}{address}",
    ]  # fmt: skip
    said = subprocess.run(command, capture_output=True, text=True, timeout=90, check=True).stdout
    found = re.search(r'<pre id="probe">(.*?)</pre>', said, re.S)
    assert found, said[-2000:]
    answer, errors = json.loads(html_module.unescape(found[1]))
    assert errors == []
    return answer


FIRST = (
    "[...document.querySelector('table.sortable').tBodies[0].rows].filter(r=>!r.hidden)"
    ".map(r=>r.cells[0].textContent.trim())"
)


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_the_front_page_works_in_a_browser(site, tmp_path):
    assert opened(site, tmp_path, script=f"return {FIRST}") == ["mert:layer=7", "clap", "mfcc", "weak"]
    ascending = "#sort=0:cold NDCG@10:ascending"
    assert opened(site, tmp_path, ascending, f"return {FIRST}") == ["weak", "mfcc", "clap", "mert:layer=7"]
    assert opened(site, tmp_path, "#q=MFCC", f"return {FIRST}") == ["mfcc"]
    hidden = opened(
        site, tmp_path, "#hide=hot Controls",
        "return [...document.querySelectorAll('table.sortable thead tr:last-child th')].filter(t=>t.hidden).length",
    )  # fmt: skip
    assert hidden == 1
    clicked = (
        "const b=document.querySelector('#filter');b.value='clap';b.dispatchEvent(new Event('input'));"
        f"return [{FIRST}, location.hash, document.querySelector('#count').textContent]"
    )
    names, address, count = opened(site, tmp_path, script=clicked)
    assert (names, address, count) == (["clap"], "#q=clap", "1 row")


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_controls_of_a_board_open_and_its_table_is_sorted(site, tmp_path):
    (name,) = (path.name for path in site.glob("music4all-onion-*.html"))
    script = (
        "const t=document.querySelector('table.sortable'),b=t.querySelector('tr.title button');"
        "const rows=()=>[...t.querySelectorAll('tbody tr')].filter(r=>r.offsetParent!==null).length;"
        "const shut=rows();b.click();const open=rows();"
        "[...t.tHead.rows[1].cells].find(c=>c.textContent.includes('NDCG')).click();"
        "const first=t.tBodies[0].rows[0].cells[0].textContent.trim();"
        "t.querySelector('tr.title button').click();"
        "return [open-shut, rows()-shut, first, document.querySelectorAll('[aria-sort]').length]"
    )
    assert opened(site, tmp_path, script=script, name=name) == [4, 0, "mert:layer=7", 1]


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_the_sorted_column_of_an_address_is_in_sight_beside_the_names(site, tmp_path):
    script = (
        "const t=document.querySelector('table.sortable'),h=t.querySelector('[aria-sort]').getBoundingClientRect();"
        "const box=t.parentNode;box.style.width='300px';t.tHead.querySelector('[aria-sort]').click();"
        "const now=t.querySelector('[aria-sort]').getBoundingClientRect(),b=box.getBoundingClientRect();"
        "return [now.left>=b.left, now.left<b.left+b.width, box.scrollLeft>0]"
    )
    assert opened(site, tmp_path, "#sort=0:hot Controls:descending", script) == [True, True, True]


def test_pages_need_no_other_host_and_link_to_each_other(site):
    for page in site.glob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert not re.search(r"""(src|srcset)=["'](?!data:)""", text)
        assert "@import" not in text
        for target in re.findall(r'href="([^"#]+)"', text):
            assert (site / target).exists(), target


def test_what_is_not_above_its_controls_says_so_and_is_not_bold(site):
    text = (site / "index.html").read_text(encoding="utf-8")
    row = re.search(r'<tr><th scope="row" class="left"><a [^>]*>weak</a>.*?</tr>', text, re.S)
    assert "not above" in row[0]
    assert "<b>" not in row[0]
    assert "Listening alone" in text
    assert 'role="img"' in text  # the ranks printed by others


def test_pages_of_an_embedding_and_of_a_recommender_hold_their_rows_and_records(site, results):
    (embedding,) = site.glob("embedding-mfcc-*.html")
    (model,) = site.glob("model-knn-*.html")
    said = embedding.read_text(encoding="utf-8")
    assert "104" in said
    assert said.count("seed0.json") == 1
    assert model.read_text(encoding="utf-8").count('<th scope="row"') > 4


def test_a_thousand_records_stay_below_two_megabytes_on_the_front_page(results, tmp_path):
    for number in range(60):
        results.add(f"e{number}", level=0.1 + number / 200, **REAL)
    write(results.read(), tmp_path / "site")
    assert (tmp_path / "site" / "index.html").stat().st_size * (1000 / 60) < 2 << 20
