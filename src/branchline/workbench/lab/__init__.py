"""A Jupyter server in an environment, reached from this machine's browser.

The server sees nothing of this machine's network: it listens on a socket in a folder of its own (``server``), and a door
on loopback (``door``) hands each connection of the browser through. Which notebook a kernel belongs to
is asked of the server (``sessions``). A notebook can also be run from its first cell to its last
(``running``).
"""

from branchline.workbench.lab.running import Ran as Ran
from branchline.workbench.lab.running import run_notebook as run_notebook
from branchline.workbench.lab.server import Lab as Lab
from branchline.workbench.lab.server import open_lab as open_lab
from branchline.workbench.lab.sessions import Notebooks as Notebooks
