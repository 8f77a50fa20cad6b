"""The safe profile of test containers, as data: what is in it, and that nothing can widen it."""

from __future__ import annotations

import dataclasses

import pytest

from orchestrator.images.base import MEBIBYTE, RunSpec
from orchestrator.images.containers import host_settings

# What would let a container reach the host; none of it may ever be a setting.
DANGEROUS = frozenset(
    {
        "binds", "volumes_from", "devices", "device_requests", "device_cgroup_rules", "cap_add", "pid_mode",
        "userns_mode", "uts_mode", "cgroup_parent", "sysctls", "group_add", "extra_hosts", "links", "mounts", "runtime",
        "cgroupns", "volume_driver", "publish_all_ports", "oom_kill_disable", "dns", "storage_opt", "tmpfs",
    }
)  # fmt: skip


def test_test_container_profile() -> None:
    settings = host_settings(RunSpec(memory=64 * MEBIBYTE, pids=32), None)
    assert settings["cap_drop"] == ["ALL"]
    assert settings["security_opt"] == ["no-new-privileges"]
    assert settings["privileged"] is False
    assert settings["network_mode"] == "none"
    assert settings["ipc_mode"] == "private"
    assert settings["mem_limit"] == settings["memswap_limit"] == 64 * MEBIBYTE
    assert settings["pids_limit"] == 32
    assert settings["init"] is True
    assert settings["restart_policy"] == {"Name": "no"}
    assert DANGEROUS.isdisjoint(settings)


def test_a_service_gets_what_a_start_as_root_needs_and_nothing_else() -> None:
    service, test = host_settings(RunSpec(service=True), "net"), host_settings(RunSpec(), "net")
    assert service.pop("cap_add") == ["CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"]
    assert service == test


def test_a_port_is_published_on_loopback_only() -> None:
    settings = host_settings(RunSpec(publish=8080), "a-network")
    assert settings["port_bindings"] == {8080: ("127.0.0.1",)}
    assert settings["network_mode"] == "a-network"


def test_the_logs_on_the_engines_disk_are_limited() -> None:
    log = host_settings(RunSpec(), None)["log_config"]
    assert log.config == {"max-size": "8m", "max-file": "2"}


@pytest.mark.parametrize("field", dataclasses.fields(RunSpec))
def test_no_field_of_a_run_can_name_a_mount_or_a_privilege(field: dataclasses.Field[object]) -> None:
    """Who adds a field here has to think about the profile: this list is the whole of what a test may ask for."""
    assert field.name in {
        "command", "environment", "user", "working_directory", "network", "publish", "seconds", "memory", "pids",
        "read_back", "join", "alias", "service",
    }  # fmt: skip
