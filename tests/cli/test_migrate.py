import pytest

from ringfence.cli.main import main


@pytest.fixture
def database(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

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
