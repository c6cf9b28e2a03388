"""The build recipe's fixed points. Whoever changes one of them gives the recipe a new number."""

from __future__ import annotations

from branchline.environment.lock.suites import RECIPE as RECIPE

LAYER_DATE = 1_686_355_200
"""Seconds since 1970: the time of every file in every layer, and SOURCE_DATE_EPOCH of all building
(2023-06-10, bookworm's release). One date for all, because a layer's digest then follows from its
content, and locks made on different days share their layers. The lock's own date is the image's."""

META = "usr/share/branchline"
"""Where an image says what it is."""

LOCAL = "usr/local"
"""Where what is not Debian's goes."""

FOLDERS = (
    *("proc", "sys", "dev", "run", "tmp", "in", "out", "data", "train", "branchline"),
    LOCAL,
    META,
)
"""Empty folders every image has: mount points must exist in a root that is read-only."""

MOST_WHEEL_LAYERS = 80
"""So many of the largest wheels have a layer each; container engines stop at 127 layers."""

CONDA = "opt/conda"
"""Where conda's packages stand."""

MOST_CONDA_LAYERS, MOST_WHEEL_LAYERS_BESIDE = 80, 30
"""The same for conda's packages; wheels beside them have fewer layers of their own."""

_LEFT_OUT = (
    "usr/share/man/",
    "usr/share/info/",
    "usr/share/locale/",
    "usr/share/lintian/",
    "usr/share/doc/",
    "usr/share/doc-base/",
)

REMOVED = (
    "etc/.pwd.lock",
    "etc/passwd-",
    "etc/group-",
    "etc/shadow-",
    "etc/gshadow-",
    "etc/subuid-",
    "etc/subgid-",
    "usr/sbin/policy-rc.d",
    "var/cache/ldconfig/aux-cache",
    "var/cache/debconf/config.dat-old",
    "var/cache/debconf/passwords.dat",
    "var/cache/debconf/templates.dat-old",
    "var/lib/dpkg/available",
    "var/lib/dpkg/available-old",
    "var/lib/dpkg/diversions-old",
    "var/lib/dpkg/lock",
    "var/lib/dpkg/lock-frontend",
    "var/lib/dpkg/statoverride-old",
    "var/lib/dpkg/status-old",
    "var/lib/dpkg/triggers/Lock",
    "var/lib/dpkg/triggers/Unincorp",
    "var/lib/systemd/random-seed",
)
"""Files that say when, where or by whom something was built, or are made anew on a machine."""

EMPTIED_FOLDERS = (
    "dev",
    "proc",
    "run",
    "sys",
    "tmp",
    "var/tmp",
    "var/log",
    "var/cache/apt",
    "var/lib/apt/lists",
)
"""Folders of which nothing is kept but, where there are any, the folders in them."""

EMPTIED_FILES = ("etc/hostname", "etc/hosts", "etc/machine-id", "etc/resolv.conf")
"""Files every image has with no content: whoever runs it puts its own over them, and can do so only
where there is one."""


JAVA_KEYSTORE = "etc/ssl/certs/java/cacerts"
"""Debian's Java certificates, which hold the time they were installed; they get the one date."""


def is_wanted(path: str, is_folder: bool = False) -> bool:
    """Tell whether what a package has is placed: not so manuals, translations, documentation.

    Copyright files stay, since licences ask for it; and so do the folders of manuals, since scripts
    make links there.
    """
    if path.startswith("usr/share/doc/"):
        # A link is one package's folder standing for another's, copyright file and all.
        return path.count("/") == 3 or path.endswith("/copyright")
    if is_folder and path.startswith("usr/share/man/man"):
        return True
    return not path.startswith(_LEFT_OUT) or path == "usr/share/locale/locale.alias"
