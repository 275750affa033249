"""When the kernel can be reached at an IPv6 address it was just given: what the bare sides share."""
# SPDX-License-Identifier: MIT
import subprocess
import sys
import time


def wait_route6(addr):
    """The kernel adds the local route of a new address a moment later, from a work queue. The route of
    its prefix is there at once and is not enough: who connects over it may be told ENETUNREACH."""
    for _ in range(500):
        routes = subprocess.run(["ip", "-6", "route", "show", "table", "local", addr],
                                stdout=subprocess.PIPE, check=True).stdout
        if routes.startswith(b"local "):
            return
        time.sleep(0.01)
    sys.exit(f"the kernel has no local route to its address {addr}")
