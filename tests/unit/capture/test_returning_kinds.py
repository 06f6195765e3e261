"""A kind that comes back while its informer still waits for it is followed like a new one."""

import asyncio

import pytest

from tests.unit.capture.rig import CRD, CRDS, WIDGET, Rig

pytestmark = pytest.mark.looptime


@pytest.mark.parametrize("seconds", range(5, 65, 5))
async def test_a_kind_that_is_removed_and_installed_again_is_followed_like_a_new_one(
    seconds: int,
) -> None:
    rig = Rig()
    rig.cluster.create(CRD)
    async with rig.running():
        rig.cluster.delete(CRDS, "", "widgets.example.com")
        await asyncio.sleep(seconds)
        rig.cluster.create(CRD)
        await asyncio.sleep(0.5)
        rig.cluster.create(WIDGET)
        await asyncio.sleep(17)  # max-delay and a PUT
        assert "default/widget.example.com/w.yaml" in rig.files()
        assert rig.equal()
