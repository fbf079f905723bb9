"""Settings come from the environment once; what is wrong is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleetune_server.cli import main
from fleetune_server.settings import FORMER, PREFIX, Settings, SettingsError, table


def test_nothing_set_gives_the_documented_defaults() -> None:
    settings = Settings.from_env({})
    assert (settings.port, settings.retrain_packets, settings.hold_seconds) == (8000, 1000, 3600.0)
    assert settings.isolated is True
    assert settings.store_url == str(settings.data / "fleetune.db")


def test_every_setting_can_be_set() -> None:
    settings = Settings.from_env(
        {
            "FLEETUNE_PORT": "0",
            "FLEETUNE_DATA": "/srv/fleetune",
            "FLEETUNE_STORE": "postgresql://db/fleetune",
            "FLEETUNE_ROLLOUT_SHARE": "0.25",
            "FLEETUNE_ISOLATED": "0",
            "FLEETUNE_TRUSTED_PROXY": "10.0.0.1, 10.0.0.2",
            "PATH": "/bin",
        }
    )
    assert (settings.port, settings.data, settings.rollout_share) == (0, Path("/srv/fleetune"), 0.25)
    assert settings.store_url == "postgresql://db/fleetune"
    assert settings.isolated is False
    assert settings.trusted_proxy == ("10.0.0.1", "10.0.0.2")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("FLEETUNE_PORT", "70000"),
        ("FLEETUNE_PORT", "http"),
        ("FLEETUNE_HOLD_SECONDS", "-1"),
        ("FLEETUNE_HOLD_SECONDS", "nan"),
        ("FLEETUNE_ISOLATED", "maybe"),
        ("FLEETUNE_EPSILONS", "2,1"),
        ("FLEETUNE_CANARY_SHARE", "0.1"),
        ("FLEETUNE_WORKERS", "1"),
        ("FLEETUNE_ROLLOUT_SHARE", "0.9"),
        ("FLEETUNE_PUSH_ORIGINS", "site.example"),
        ("FLEETUNE_PUSH_ORIGINS", "https://site.example/page"),
        ("FLEETUNE_RETRAIN_PACKETS", "0"),
        ("FLEETUNE_CONTACT", "me@site.example"),
        ("FLEETUNE_CONTACT", "mailto:a@b.example\nContact: mailto:evil@c.example"),
        ("FLEETUNE_TRUSTED_PROXY", "999.1.1.1"),
        ("FLEETUNE_TRUSTED_PROXY", "localhost"),
        ("FLEETUNE_TRUSTED_PROXY", "127.0.0.1, proxy.internal"),
        ("FLEETUNE_TRUSTED_PROXY", "0.0.0.0/0"),
        ("FLEETUNE_TRUSTED_PROXY", "::/0"),
        ("FLEETUNE_TRUSTED_PROXY", "::ffff:0.0.0.0/96"),
        ("FLEETUNE_TRUSTED_PROXY", "0.0.0.0/1,128.0.0.0/1"),
        ("FLEETUNE_TRUSTED_PROXY", "2000::/3"),
        ("FLEETUNE_TRUSTED_PROXY", "10.0.0.7/8"),
        ("FLEETUNE_TRUSTED_PROXY", "*"),
        ("FLEETUNE_PROT", "8000"),
    ],
)
def test_an_unusable_setting_is_named(key: str, value: str) -> None:
    with pytest.raises(SettingsError, match=key):
        Settings.from_env({key: value})


def test_the_command_prints_the_whole_table(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEETUNE_PORT", "1234")
    assert main(["settings"]) == 0
    printed = capsys.readouterr().out
    for name, default, doc in table():
        assert f"{name}={default}" in printed
        assert doc in printed
    assert "FLEETUNE_PORT=8000 (now 1234)" in printed


def test_a_bad_setting_ends_the_command_with_its_name(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEETUNE_PORT", "x")
    assert main(["settings"]) == 2
    assert "FLEETUNE_PORT='x'" in capsys.readouterr().err


def test_the_readme_has_exactly_the_table_of_settings() -> None:
    readme = (Path(__file__).parents[1] / "server" / "README.md").read_text()
    rows = [
        f"| `{name}` | " + (f"`{default}`" if default else "") + f" | {doc} |"
        for name, default, doc in table()
    ]
    assert [line for line in readme.splitlines() if line.startswith("| `FLEETUNE_")] == rows


def test_a_setting_of_an_earlier_version_says_what_became_of_it() -> None:
    with pytest.raises(SettingsError, match="FLEETUNE_ROLLOUT_SHARE"):
        Settings.from_env({"FLEETUNE_CANARY_SHARE": "0.1"})
    names = {name for name, _default, _doc in table()}
    assert names.isdisjoint(PREFIX + name for name in FORMER)


def test_what_the_test_tools_read_does_not_stop_a_server() -> None:
    assert Settings.from_env({"FLEETUNE_ENGINES": "chromium"}) == Settings.from_env({})
