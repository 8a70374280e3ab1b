"""docs/examples/travel: another application's dataset files, running as they are."""
import json

import pytest

from harness import ROOT, cache_state, execute, token, wait_until

TRAVEL = ROOT / "docs/examples/travel"

@pytest.fixture
def travel(db):
    execute(db, (TRAVEL / "schema.sql").read_text() + (TRAVEL / "rows.sql").read_text())
    yield db
    execute(db, "DROP SCHEMA travel CASCADE")


@pytest.fixture
def site(web, travel, start_responder):
    start_responder(DATASET_DIR=TRAVEL / "datasets")
    return web


def change(web, tag, **more):
    answer = web.webhook({"type": "data.changed", "timestamp": "2026-01-01T00:00:00Z", "data": {"tag": tag, **more}})
    assert answer.status == 202, answer
    return answer.json()["invalidated"]


def read(web, *paths):
    """Reads until all are hits."""
    for path in paths:
        assert web.get(path).status == 200, path
        assert cache_state(web.get(path)) == "hit", path


def missed(web, *paths):
    return [path for path in paths if cache_state(web.get(path)) != "hit"]


def recommend(web, body):
    return web.post("/api/recommendations", json.dumps(body).encode(), headers={"Content-Type": "application/json"})


def test_every_file_is_good(travel, run_worker):
    done = run_worker("datasets", "--check", TRAVEL / "datasets", DATASET_DIR=TRAVEL / "datasets")
    assert done.stdout == "11 datasets are good\n"
    assert "@guides:$guide, @templates" in run_worker("datasets", DATASET_DIR=TRAVEL / "datasets").stdout


def test_the_list_for_programs_says_which_datasets_take_a_body(travel, run_worker):
    listed = json.loads(run_worker("datasets", "--json", DATASET_DIR=TRAVEL / "datasets").stdout)
    assert len(listed) == 11
    assert {d["name"]: d["methods"] for d in listed} == {d["name"]: ["get"] for d in listed} | {"recommendations": ["get", "post"]}


def test_every_endpoint_answers(site):
    expected = {
        "/api/locations": ["Athens", "Bergen"], "/api/trip-types": ["city", "hike"], "/api/tags": ["art", "fjord", "food"],
        "/api/guides": ["Ada", "Bo"], "/api/guides?company=2": ["Bo"], "/api/guides?language=no": ["Ada"],
    }
    for path, names in expected.items():
        assert [row["name"] for row in site.get(path).json()["data"]] == names, path
    assert site.get("/api/companies/1").json()["data"] == {"id": 1, "name": "North"}
    assert site.get("/api/guides/7").json()["data"] == {"id": 7, "name": "Ada", "languages": ["en", "no"], "company_id": 1, "company": "North"}
    assert site.get("/api/templates/80").json()["data"] == {
        "id": 80, "title": "Museums", "days": 2, "price": 120, "guide_id": 8, "guide": "Bo", "location": "Athens", "trip_type": "city", "tags": ["art", "food"]}
    assert [row["id"] for row in site.get("/api/guides/7/templates").json()["data"]] == [71, 70]
    assert site.get("/api/occurrences/700").json()["data"]["seats_left"] == 5
    assert [row["id"] for row in site.get("/api/templates/70/occurrences?from=2030-06-02").json()["data"]] == [701]
    assert site.get("/api/guides/9").status == 404


def test_an_event_with_an_id_leaves_other_rows_alone(site):
    of_seven, of_eight = ["/api/guides/7", "/api/guides/7/templates"], ["/api/guides/8", "/api/guides/8/templates"]
    others = ["/api/guides", "/api/templates/70", "/api/companies/1", "/api/locations", "/api/occurrences/700"]
    read(site, *of_seven, *of_eight, *others)
    assert change(site, "guides", id=7) == 2
    assert missed(site, *of_eight, "/api/companies/1", "/api/locations", "/api/occurrences/700") == []
    assert missed(site, *of_seven, "/api/guides", "/api/templates/70") == [*of_seven, "/api/guides", "/api/templates/70"]


@pytest.mark.parametrize("spelling", [7, "7", "007", "+7"])
def test_an_id_has_one_part_however_it_is_spelled(site, spelling):
    read(site, "/api/guides/7")
    change(site, "guides", id=spelling)
    assert missed(site, "/api/guides/7") == ["/api/guides/7"]


def test_an_event_without_id_is_about_all_rows(site):
    paths = ["/api/guides/7", "/api/guides/8", "/api/guides", "/api/guides/8/templates", "/api/templates/80"]
    read(site, *paths)
    assert change(site, "guides") == 1
    assert missed(site, *paths) == paths


def test_what_an_event_is_about_reaches_what_depends_on_it(site):
    paths = ["/api/companies/1", "/api/companies/2", "/api/guides/7", "/api/templates/70", "/api/recommendations?max_days=3", "/api/guides", "/api/tags"]
    read(site, *paths)
    change(site, "companies", id=1)
    assert missed(site, *paths) == ["/api/companies/1", "/api/guides/7", "/api/templates/70", "/api/recommendations?max_days=3"]


def test_an_id_of_a_tag_without_rows_is_not_looked_at(site):
    read(site, "/api/locations")
    assert change(site, "locations", id=2) == 1
    assert missed(site, "/api/locations") == ["/api/locations"]


def test_an_id_of_a_wrong_type_is_refused(site):
    event = {"type": "data.changed", "timestamp": "2026-01-01T00:00:00Z", "data": {"tag": "guides", "id": [7]}}
    answer = site.webhook(event)
    assert (answer.status, answer.json()["errors"]) == (422, [{"field": "data.id", "message": "must be a text or a whole number"}])


def test_without_redis_a_row_event_is_left_to_the_outbox_as_the_whole_tag(site, servers, travel):
    read(site, "/api/guides/7")
    servers.stop("redis")
    change(site, "guides", id=7)
    with travel.cursor() as cursor:
        cursor.execute("SELECT user_id, tag FROM pnlcache.change_log WHERE tag = 'guides'")
        assert cursor.fetchall() == [(None, "guides")]


def test_triggers_tell_of_reference_data(web, travel, start_responder, start_worker):
    start_responder(DATASET_DIR=TRAVEL / "datasets")
    start_worker(DATASET_DIR=TRAVEL / "datasets")
    assert len(web.get("/api/locations").json()["data"]) == 2
    execute(travel, "INSERT INTO travel.locations VALUES (3, 'Cadiz', 'ES')")
    wait_until(lambda: len(web.get("/api/locations").json()["data"]) == 3, what="the new location")


# --- the body of a POST ---------------------------------------------------------------------------------


def test_recommendations_by_the_members_of_a_body(site, servers):
    answer = recommend(site, {"tags": ["food", "art"], "max_price": 200.5, "limit": 2})
    assert answer.status == 200, answer
    assert [(row["id"], row["matches"]) for row in answer.json()["data"]] == [(80, 2), (71, 1)]
    same = [{"limit": 2, "max_price": "200.50", "tags": ["art", "food", "art"]}, {"tags": "food,art", "max_price": 200.5, "limit": "2", "locations": None}]
    for body in same:
        assert cache_state(recommend(site, body)) == "hit", body
    assert cache_state(site.get("/api/recommendations?limit=2&max_price=200.5&tags=art,food")) == "hit"
    assert len(servers.redis("KEYS", "data:recommendations:*").split()) == 1
    assert [row["id"] for row in recommend(site, {"locations": [1], "max_days": 1}).json()["data"]] == [71]
    change(site, "templates", id=80)
    assert cache_state(recommend(site, same[0])) == "fwd=miss"


@pytest.mark.parametrize("body, field, message", [
    ({"max_days": 0}, "max_days", "must be a whole number from 1 to 365"),
    ({"max_days": 1.5}, "max_days", "must be a whole number from 1 to 365"),
    ({"colour": "red"}, "colour", "is not a parameter here"),
    ({"tags": [["a"]]}, "tags", "must be a text, a number, true, false or a list of these; a number with decimals of ten million or more is written as a text"),
    ({"tags": {"a": 1}}, "tags", "must be a text, a number, true, false or a list of these; a number with decimals of ten million or more is written as a text"),
    ({"tags": ["a,b"]}, "tags", "must be a text, a number, true, false or a list of these; a number with decimals of ten million or more is written as a text"),
    ({"tags": ["a"] * 21}, "tags", "must be at most 20 values"),
    ({"locations": ["1; DROP TABLE travel.tags"]}, "locations", "must be a whole number from 1 to 2147483647"),
])
def test_bad_members_are_named(site, body, field, message):
    answer = recommend(site, body)
    assert answer.status == 400, answer
    assert answer.json()["errors"] == [{"field": field, "message": message}]


def test_bad_bodies_are_refused(site):
    for body, status in ((b"[1]", 400), (b"{", 400), (b'{"limit": 1, "limit": 2}', 400), (b'{"limit": 5}', 200), (b"", 200)):
        assert site.post("/api/recommendations", body).status == status, body
    assert site.post("/api/recommendations?limit=5", b'{"limit": 5}').json()["errors"] == [{"field": "limit", "message": "is given twice"}]
    assert site.post("/api/recommendations", b"limit=5", headers={"Content-Type": "application/x-www-form-urlencoded"}).status == 415
    answer = site.post("/api/guides", b"{}")
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD, OPTIONS")
    assert site.request("OPTIONS", "/api/recommendations").headers["Allow"] == "GET, HEAD, POST, OPTIONS"


# --- written through ------------------------------------------------------------------------------------


def test_write_through_of_one_row(site, travel):
    service = token("svc", role="service_role")
    read(site, "/api/guides/7", "/api/guides/8", "/api/guides/7/templates")
    execute(travel, "UPDATE travel.guides SET name = 'Eva' WHERE id = 7")
    answer = site.request("PUT", "/api/cache/dataset/guide", token_=service, body=b'{"id": 7}', headers={"Content-Type": "application/json"})
    assert (answer.status, answer.json()["data"]["name"]) == (200, "Eva"), answer
    assert cache_state(site.get("/api/guides/7")) == "hit"
    assert site.get("/api/guides/7").body == answer.body
    assert missed(site, "/api/guides/8") == []
    assert site.get("/api/guides/7/templates").json()["data"][0]["guide"] == "Eva"
