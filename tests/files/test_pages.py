"""Pages in one file, and what of their data could end a script."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

import pytest

from efficient_sed.errors import DataError
from efficient_sed.files.pages import SHARED_SCRIPTS, to_script_json, write_html


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    head = (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<meta http-equiv="Content-Security-Policy" '
    )
    policy = "content=\"default-src 'none'; script-src 'sha256-<!--digest-->'\">"
    body = "<style><!--style--></style><script type=d><!--data--></script><script><!--script--></script>"
    (tmp_path / "page.html").write_text(head + policy + body)
    (tmp_path / "page.css").write_text("p { color: red }")
    (tmp_path / "a.js").write_text("show()")
    return tmp_path


def test_a_page_states_the_hash_of_its_script(folder: Path) -> None:
    output = folder / "out.html"
    write_html(folder, ["a.js"], {"label": "</script><!--script-->"}, output)
    page = output.read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>")
    script = page.split("<script>")[1].split("</script>")[0]
    assert script.endswith("show()")
    assert f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}" in page
    assert page.count("show()") == 1
    assert len(SHARED_SCRIPTS) == 2


def test_an_output_that_cannot_be_written(folder: Path) -> None:
    with pytest.raises(DataError, match=r"cannot be written \(.*\); give a writable file as output$"):
        write_html(folder, ["a.js"], {}, folder / "a.js" / "out.html")


def test_script_json() -> None:
    data = {"a": "</script>&\u2028", "b": [1.5, None]}
    text = to_script_json(data)
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == data
