"""The labelling service without a browser: links, settings, access and kernels."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import psutil
import pytest
from card_acts import choose
from labelling_service import Labelling, labelling, write_run
from tornado.httpclient import HTTPClientError
from tornado.websocket import websocket_connect

from vital_lib.labelling import card_for_link, open_calibration, open_card, open_page
from vital_lib.labelling.__main__ import main
from vital_lib.labelling.links import FILE, UnreadableLinks, annotators_by_hash, fingerprint, issue
from vital_lib.labelling.service import Service
from vital_lib.labels import LabelLog
from vital_lib.tables import MissingTable

WITHOUT_A_LINK = [
    *("/", "/?token=", "/?token=wrong", "/?annotator=ann", "/card.ipynb", "/login", "/logout"),
    *("/api", "/api/kernels", "/api/contents", "/api/sessions", "/api/terminals"),
    *("/voila/render/card.ipynb", "/voila/tree", "/voila/files/card.ipynb", "/files/run.json"),
    *(f"/voila/files/{name}" for name in (FILE, "labels.sqlite", "f00.png", "../f00.png")),
]


# --- links


def test_a_link_is_shown_once_and_only_its_hash_is_kept(tmp_path):
    secrets = issue(tmp_path, ["ann", "bob"])
    assert all(len(secret) >= 43 for secret in secrets.values())  # 256 random bits
    kept = (tmp_path / FILE).read_text()
    assert not any(secret in kept for secret in secrets.values())
    assert issue(tmp_path, ["ann", "bob"]) == {"ann": None, "bob": None}
    assert (tmp_path / FILE).read_text() == kept


def test_only_the_owner_may_read_the_links_hashes(tmp_path):
    issue(tmp_path, ["ann"])
    issue(tmp_path, ["ann"], renew=["ann"])
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600


def test_renewing_a_link_revokes_only_that_annotators_earlier_link(tmp_path):
    before = issue(tmp_path, ["ann", "bob"])
    after = issue(tmp_path, ["ann", "bob"], renew=["ann"])
    assert after["bob"] is None and after["ann"] not in (None, before["ann"])
    found = annotators_by_hash(tmp_path, ["ann", "bob"])
    assert found == {fingerprint(after["ann"]): "ann", fingerprint(before["bob"]): "bob"}


def test_an_annotator_not_named_at_the_start_has_no_access(tmp_path):
    secrets = issue(tmp_path, ["ann", "bob"])
    assert fingerprint(secrets["bob"]) not in annotators_by_hash(tmp_path, ["ann"])


@pytest.mark.parametrize("text", ["{", "[]", '{"format_version": 2, "links": {}}', '{"links": 1}'])
def test_a_damaged_links_file_is_refused_and_unchanged(tmp_path, text):
    (tmp_path / FILE).write_text(text)
    with pytest.raises(UnreadableLinks, match="move it away"):
        issue(tmp_path, ["ann"])
    assert (tmp_path / FILE).read_text() == text


# --- the service's settings


def test_a_link_uses_the_public_address_of_the_service(tmp_path):
    here = Service(tmp_path, ("ann",))
    assert here.link("s") == "http://127.0.0.1:8866/?token=s" and here.base_url == "/"
    proxied = Service(tmp_path, ("ann",), host="0.0.0.0", url="https://host.example/label")
    assert proxied.link("s") == "https://host.example/label/?token=s"
    assert proxied.base_url == "/label/"


@pytest.mark.parametrize(
    ("host", "alone"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("h", False)],
)
def test_only_loopback_addresses_count_as_local(tmp_path, host, alone):
    assert Service(tmp_path, ("ann",), host=host).on_loopback == alone


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"annotators": ()}, "--annotators ann,bob"),
        ({"annotators": ("ann", "ann")}, "give each name once"),
        ({"port": 0}, "port 0"),
        ({"url": "host.example"}, "give the full URL"),
        ({"idle_seconds": 0}, "idle_seconds 0"),
    ],
)
def test_invalid_settings_are_refused_with_the_way_out(tmp_path, wrong, message):
    with pytest.raises(ValueError, match=message):
        Service(**{"run": tmp_path, "annotators": ("ann",), **wrong})


def test_a_name_almost_equal_to_one_in_the_log_is_refused_at_the_start(tmp_path, capsys):
    workspace = write_run(tmp_path)
    log = LabelLog(workspace.label_url)
    item = workspace.read("drafts")["candidate_id"].tolist()[:2]
    log.record(item_id="i", left_id=item[0], right_id=item[1], annotator="Ann", left_accepted=True,
               right_accepted=False)  # fmt: skip
    log.close()
    for names in ("ann", "bob,ANN", "cat,Cat"):
        assert main([f"--run={tmp_path}", f"--annotators={names}"]) == 2
        assert "differ only by case or blanks: use the spelling" in capsys.readouterr().err
    assert not (tmp_path / FILE).exists()


def test_a_failed_start_states_the_reason_and_issues_no_link(tmp_path, capsys):
    assert main([f"--run={tmp_path / 'none'}", "--annotators=ann"]) == 2
    assert "run notebooks 01 and 02 first" in capsys.readouterr().err
    write_run(tmp_path, items=2)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = f"--port={taken.getsockname()[1]}"
        assert main([f"--run={tmp_path}", "--annotators=ann", port]) == 2
    assert "PORT=" in capsys.readouterr().err
    assert main([f"--run={tmp_path}", "--annotators=ann", "--new-links=eve"]) == 2
    assert "eve" in capsys.readouterr().err
    assert main([f"--run={tmp_path}", "--annotators=ann", "--strategy=uncertainty"]) == 2
    assert "06_train_selector" in capsys.readouterr().err
    assert not (tmp_path / FILE).exists()


# --- the kernel of a page


def test_the_card_gets_its_annotator_from_the_service_and_resumes(tmp_path):
    workspace = write_run(tmp_path, items=3)
    first = open_card(tmp_path, "ann")
    judged = first.item_id
    choose(first, "both")
    again = open_card(tmp_path, "ann")
    assert again.annotator == "ann" and again.item_id not in (None, judged)
    assert LabelLog(workspace.label_url).history()["annotator"].tolist() == ["ann"]


def test_labels_are_written_to_the_given_label_log(tmp_path):
    write_run(tmp_path / "run", items=2)
    elsewhere = f"sqlite:///{tmp_path / 'elsewhere.sqlite'}"
    choose(open_card(tmp_path / "run", "ann", label_log=elsewhere), "left")
    assert len(LabelLog(elsewhere).history()) == 1
    assert not (tmp_path / "run" / "labels.sqlite").exists()


def _agree(workspace, items: int) -> LabelLog:
    """Record that two people accept only the first response of each of the first `items`."""
    log = LabelLog(workspace.label_url)
    ids = [f"f{n:02d}-r1" for n in range(items)]
    ticks = {"left_accepted": True, "right_accepted": False}
    log.record_many(
        {"item_id": i, "left_id": f"{i}-a", "right_id": f"{i}-b", "annotator": who, **ticks}
        for i in ids
        for who in ("bob", "cat")
    )
    return log


def test_a_new_annotator_begins_with_a_calibration_round(tmp_path):
    log = _agree(write_run(tmp_path, items=5), items=3)
    page = open_page(tmp_path, "ann")
    (first,) = page.children
    assert first.state["title"] == "Calibration"
    sent = []
    first.send = lambda content, buffers=(): sent.append(content)

    def call_card(call: str, **given) -> dict:
        first._handle_custom_msg({"call": call, "with": given}, [])
        return sent[-1]

    ticks = {"left_accepted": True, "right_accepted": False}
    while cards := call_card("refresh")["cards"]:
        call_card("judge", key=cards[0]["key"], event_id=cards[0]["key"], **ticks)
    assert "of 3 items." in sent[-1]["result"] and len(log.calibrations()) == 3
    call_card("go_on")
    assert [widget.state["title"] for widget in page.children] == ["Preferences"]
    assert first.comm is None  # closed
    assert open_calibration(tmp_path, "ann") is None and len(log.preferences()) == 6


def test_a_vote_withdrawn_during_a_round_is_no_reference_any_more(tmp_path):
    log = _agree(write_run(tmp_path, items=4), items=3)
    card = open_calibration(tmp_path, "ann")
    log.undo("cat")
    sent = []
    card.widget.send = lambda content, buffers=(): sent.append(content)
    while not card.finished:
        choose(card, "left")
    card.refresh()
    assert "of 2 items." in sent[-1]["result"]


def test_an_unfinished_round_resumes(tmp_path):
    _agree(write_run(tmp_path, items=5), items=4)
    first = open_calibration(tmp_path, "ann", n=3)
    judged = first.item_id
    choose(first, "both")
    again = open_calibration(tmp_path, "ann", n=3)
    left = []
    while not again.finished:
        left.append(again.item_id)
        choose(again, "left")
    assert len(left) == 2 and judged not in left
    assert open_calibration(tmp_path, "ann", n=3) is None


@pytest.mark.parametrize(
    ("agreed", "given", "who"), [(0, {}, "ann"), (3, {"calibrate": 0}, "ann"), (3, {}, "bob")]
)
def test_labelling_begins_without_a_reference_or_a_round_or_after_a_first_vote(
    tmp_path, agreed, given, who
):
    _agree(write_run(tmp_path, items=4), agreed)
    (card,) = open_page(tmp_path, who, **given).children
    assert card.state["title"] == "Preferences"


def test_the_given_strategy_sets_the_order(tmp_path):
    workspace = write_run(tmp_path, items=30)
    with pytest.raises(MissingTable, match="figures_sampled"):
        open_card(tmp_path, "ann", strategy="cluster")
    names = workspace.read("figures")["figure_id"]
    sampled = {"figure_id": names, "cluster": 1, "split": "train", "chosen_by": "cluster"}
    workspace.write("figures_sampled", pd.DataFrame(sampled))
    card = open_card(tmp_path, "ann", strategy="cluster")
    for _ in range(10):
        choose(card, "left")
    arms = LabelLog(workspace.label_url).history()["drawn_by"].value_counts()
    assert arms.to_dict() == {"cluster": 7, "random": 3}


def test_the_selectors_uncertainty_sets_the_first_question(tmp_path):
    workspace = write_run(tmp_path, items=30)
    with pytest.raises(MissingTable, match="06_train_selector"):
        open_card(tmp_path, "ann", strategy="uncertainty")
    ids = workspace.read("drafts")["candidate_id"]
    scores = pd.DataFrame({"candidate_id": ids, "selector": "selector", "score": 0.0})
    doubted = ids.str.contains(workspace.read("drafts")["instruction_id"].iloc[-1], regex=False)
    workspace.write("scores", scores.assign(uncertainty=doubted.astype(float)))
    card = open_card(tmp_path, "ann", strategy="uncertainty")
    for _ in range(10):
        choose(card, "left")
    events = LabelLog(workspace.label_url).history()
    first = events[events["drawn_by"] == "uncertainty"].iloc[0]
    assert {first["left_id"], first["right_id"]} == set(ids[doubted])


def test_a_run_without_drafts_names_the_notebook(tmp_path):
    with pytest.raises(MissingTable, match="02_draft_candidates"):
        open_card(tmp_path, "ann")


def test_the_card_notebook_opened_without_a_link_names_notebook_03():
    with pytest.raises(RuntimeError, match="03_label_preferences"):
        card_for_link({})


def test_the_card_notebook_is_one_cell_without_outputs(root):
    path = root / "vital_lib" / "labelling" / "card.ipynb"
    (cell,) = json.loads(path.read_text())["cells"]
    assert cell["outputs"] == [] and cell["execution_count"] is None


# --- the service itself


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return write_run(tmp_path_factory.mktemp("run"), items=4).path


@pytest.fixture(scope="module")
def service(run, tmp_path_factory) -> Iterator[Labelling]:
    with labelling(run, ["ann", "bob"], tmp_path_factory.mktemp("private")) as service:
        yield service


@pytest.fixture(scope="module")
def kernel(service) -> str:
    """The id of the kernel of ann's page."""
    status, page = service.get(_path(service, "ann"))
    assert status == 200 and "Labelling · ann" in page and "could not be opened" not in page
    return re.search(r'"kernelId": "([^"]+)"', page).group(1)


def _path(service: Labelling, name: str) -> str:
    return service.links[name].removeprefix(service.url(""))


def _token(service: Labelling, name: str) -> dict[str, str]:
    return {"Authorization": f"token {service.links[name].split('token=')[1]}"}


@pytest.mark.parametrize("path", WITHOUT_A_LINK)
def test_without_a_link_every_path_is_refused_and_no_kernel_starts(service, path):
    before = service.kernels()
    status, text = service.get(path)
    assert status == 403 and "kernelId" not in text
    assert service.kernels() <= before


@pytest.mark.parametrize("name", [FILE, "labels.sqlite", "run.json", "f00.png", "card.ipynb"])
def test_a_link_gives_access_to_no_file(service, name):
    for path in (f"/{name}", f"/voila/files/{name}", f"/api/contents/{name}", f"/files/{name}"):
        status, text = service.get(path, **_token(service, "ann"))
        assert status == 403 and "sha256" not in text


def test_a_kernels_environment_has_its_annotator_and_no_link(service, kernel):
    (found,) = [psutil.Process(pid).environ() for pid in service.kernels()]
    assert found["VITAL_ANNOTATOR"] == "ann"
    assert not any(service.links["ann"].split("token=")[1] in value for value in found.values())


@pytest.mark.parametrize("query", ["annotator=bob", "user=bob", "name=bob", "VITAL_ANNOTATOR=bob"])
def test_a_name_in_the_address_has_no_effect(service, query):
    before = service.kernels()
    status, page = service.get(f"{_path(service, 'ann')}&{query}")
    assert status == 200 and "Labelling · ann" in page and "bob" not in page
    (new,) = service.kernels() - before
    assert psutil.Process(new).environ()["VITAL_ANNOTATOR"] == "ann"


def test_only_its_annotator_reaches_a_kernel(service, kernel):
    path = f"/api/kernels/{kernel}"
    for headers in ({}, {"Authorization": "token wrong"}, _token(service, "bob")):
        assert service.get(path, **headers)[0] == 403
        assert service.send("DELETE", path, **headers)[0] == 403
        assert service.send("POST", f"/voila/api/shutdown/{kernel}", **headers)[0] == 403
    assert service.get(path, **_token(service, "ann"))[0] == 200
    assert service.send("POST", "/api/kernels", **_token(service, "ann"))[0] in (403, 405)


def test_only_its_annotator_opens_a_kernels_websocket(service, kernel):
    place = service.url(f"/api/kernels/{kernel}/channels").replace("http", "ws", 1)

    async def connect(query: str) -> None:
        (await websocket_connect(f"{place}{query}")).close()

    bob = service.links["bob"].split("token=")[1]
    for query in ("", "?token=wrong", f"?token={bob}"):
        with pytest.raises(HTTPClientError, match="403"):
            asyncio.run(connect(query))
    asyncio.run(connect(f"?token={service.links['ann'].split('token=')[1]}"))


def test_a_link_cannot_run_code(service, kernel, tmp_path):
    proof = tmp_path / "ran"
    token = service.links["ann"].split("token=")[1]
    place = service.url(f"/api/kernels/{kernel}/channels?token={token}").replace("http", "ws", 1)

    def message(kind: str, **content: object) -> str:
        header = {"msg_id": kind, "msg_type": kind, "session": "s", "username": "", "version": "5"}
        parts = {"header": header, "parent_header": {}, "metadata": {}, "content": content}
        return json.dumps({**parts, "channel": "shell", "buffers": []})

    async def send() -> None:
        socket = await websocket_connect(place)
        code = f"open({str(proof)!r}, 'w').close()"
        await socket.write_message(message("execute_request", code=code, silent=False))
        await socket.write_message(message("kernel_info_request"))  # processed after the code
        while "kernel_info_reply" not in str(await asyncio.wait_for(socket.read_message(), 20)):
            pass
        socket.close()

    asyncio.run(send())
    assert not proof.exists()


def test_the_services_log_contains_no_link(service, kernel):
    service.get(f"/api/kernels/aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa?{_path(service, 'ann')[2:]}")
    service.get(f"/voila/files/x?{_path(service, 'bob')[2:]}")
    written = service.log.read_text()
    assert "[secret]" in written
    assert not any(link.split("token=")[1] in written for link in service.links.values())


def test_pages_load_nothing_from_another_server(service, kernel):
    for path, wanted in ((_path(service, "bob"), 200), ("/", 403)):
        status, page = service.get(path)
        assert status == wanted
        assert not re.search(r"(src|href)=[\"']?(https?:)?//", page)


@pytest.mark.slow
def test_links_stay_valid_after_a_restart_until_renewed(run, tmp_path):
    places = [tmp_path / name for name in ("one", "two", "three")]
    for place in places:
        place.mkdir()
    with labelling(run, ["ann", "cat"], places[0]) as first:
        secret = first.links["cat"].split("token=")[1]
    with labelling(run, ["ann", "cat"], places[1]) as again:
        assert "cat: the earlier link stays valid" in again.printed
        assert again.get(f"/?token={secret}")[0] == 200
    with labelling(run, ["ann", "cat"], places[2], "--new-links=cat") as renewed:
        assert "ann: the earlier link stays valid" in renewed.printed
        assert renewed.get(f"/?token={secret}")[0] == 403
        assert renewed.get(f"/?token={renewed.links['cat'].split('token=')[1]}")[0] == 200


@pytest.mark.slow
def test_behind_a_proxy_all_paths_are_under_the_given_address(run, tmp_path):
    options = ("--url=https://host.example/label/", "--host=0.0.0.0", "--new-links")
    with labelling(run, ["ann"], tmp_path, *options) as service:
        assert service.links["ann"].startswith("https://host.example/label/?token=")
        assert "WARNING: listening on 0.0.0.0" in service.log.read_text()
        query = service.links["ann"].split("/label/")[1]
        status, page = service.get(f"/label/{query}", Host="host.example")
        assert status == 200 and '"baseUrl": "/label/"' in page
        assert set(re.findall(r'(?:src|href)="/([a-z]+)/', page)) == {"label"}
