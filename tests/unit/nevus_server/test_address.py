"""Finding out that an address won't do before anything is started."""

from __future__ import annotations

import socket

import pytest

from nevus_core.errors import SettingsError
from nevus_server.address import free_address


def test_port_0_becomes_a_free_port() -> None:
    """The address that comes back can be listened on."""
    host, _, port = free_address("127.0.0.1:0").rpartition(":")
    assert int(port) > 0
    with socket.socket() as listener:
        listener.bind((host, int(port)))
        assert listener.getsockname() == (host, int(port))


def test_what_can_not_be_listened_on_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A port in use, a stranger's address, and what is no address at all."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        with pytest.raises(SettingsError, match="in use"):
            free_address(f"127.0.0.1:{listener.getsockname()[1]}")
    for wrong in ("192.0.2.1:50051", "localhost", ":50051", "127.0.0.1:http", "127.0.0.1:99999"):
        with pytest.raises(SettingsError):
            free_address(wrong)
