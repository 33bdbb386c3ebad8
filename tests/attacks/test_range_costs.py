"""What the range gives without end, and to every site (guide: "Rate Limiting", "strict
CORS rules"; CWE-770, CWE-942)."""

from tests.attacks.ranges import ALICE, BOB

ENOUGH = 15  # more than ten, which is the limit on the guarded side


def fields(many):
    return {f"field{n}": "" for n in range(many)}


def files(many):
    return [("files", (f"{n}.txt", b"")) for n in range(many)]


def test_a_costly_report_is_not_asked_for_without_end(off, on):
    """Ten a minute; another account is not held up."""
    for side in (off, on):
        with side.signed_in(ALICE) as mallory:
            answers = [mallory.post("/report").status_code for _ in range(ENOUGH)]
        served = answers.count(200)
        assert served == (ENOUGH if side is off else 10)
        assert answers.count(429) == ENOUGH - served
        with side.signed_in(BOB) as bob:
            assert bob.post("/report").status_code == 200


def test_a_form_of_countless_parts_is_not_read(off, on):
    for side, status in ((off, 200), (on, 413)):
        with side.client() as mallory:
            answer = mallory.post("/upload", data=fields(2_000))
            assert answer.status_code == status
            answer = mallory.post("/upload", files=files(200))
            assert answer.status_code == status


def test_a_body_without_end_is_not_read(off, on):
    for side, status in ((off, 200), (on, 413)):
        with side.client() as mallory:
            answer = mallory.post("/upload", data={"text": "x" * 3_000_000})
            assert answer.status_code == status


def test_an_honest_form_passes(off, on):
    for side in (off, on):
        with side.client() as alice:
            answer = alice.post("/upload", data=fields(2), files=files(3))
            assert answer.json() == {"parts": 5}


def test_a_script_of_another_origin_may_not_read(off, on):
    """The recipe that lets every site in is taken out of the answer."""
    for side in (off, on):
        elsewhere = f"http://localhost:{side.port}"  # its other name: another origin
        with side.signed_in(ALICE) as alice:
            answer = alice.get(
                "/me", headers={"origin": elsewhere, "sec-fetch-site": "cross-site"}
            )
            told = {name for name in answer.headers if name.startswith("access-")}
            assert bool(told) is (side is off)
            if side is off:
                allowed = answer.headers["access-control-allow-origin"]
                assert allowed == elsewhere
            assert alice.get("/me").json()["id"]
