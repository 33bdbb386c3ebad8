import pytest

from ringfence.cli.main import main


@pytest.fixture
def database(prepare, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("ringfence.stores.sqlite.prepare", prepare)

    def name(url):
        monkeypatch.setenv("RINGFENCE_DATABASE", url)

    return name


def test_it_makes_the_tables_and_finds_them_made(database, tmp_path, capsys):
    database(f"sqlite:///{tmp_path / 'guard.db'}")
    for _ in range(2):
        assert main(["migrate"]) == 0
        said = f"The tables of sqlite:///{tmp_path}/guard.db are up to date.\n"
        assert capsys.readouterr().out == said
    assert (tmp_path / "guard.db").stat().st_size


def test_memory_has_no_tables(database, capsys):
    database("memory://")
    assert main(["migrate"]) == 2
    assert "RINGFENCE_DATABASE" in capsys.readouterr().err


def test_a_server_that_is_away_is_told(database, tmp_path, capsys):
    database(f"postgresql://owner@/shop?host={tmp_path}")
    assert main(["migrate"]) == 2
    assert "up to date" not in capsys.readouterr().out


def test_it_works_on_a_server(database, postgres, capsys):
    database(postgres.url("psycopg"))
    assert main(["migrate"]) == 0


@pytest.mark.parametrize(
    "command", [["migrate"], ["accounts", "list"], ["accounts", "import", "x.csv"]]
)
def test_production_is_reached_over_tls_that_is_checked(
    database, monkeypatch, tmp_path, capsys, command
):
    """Whoever is on the way would be told the password of the tables' owner
    (CWE-295)."""
    (tmp_path / "x.csv").write_text("email,password_hash\n")
    database("postgresql://owner:hunter2@192.0.2.1:5432,192.0.2.2:5432/shop")
    assert main(command) == 2
    said = capsys.readouterr().err
    assert "database reaches 192.0.2.1:5432 without a TLS certificate" in said
    assert "hunter2" not in said
    if command != ["migrate"]:
        database(f"sqlite:///{tmp_path / 'guard.db'}")
        monkeypatch.setenv("RINGFENCE_STORE", "redis://:hunter2@192.0.2.1")
        assert main(command) == 2
        said = capsys.readouterr().err
        assert "store reaches 192.0.2.1 without TLS" in said
        assert "hunter2" not in said
