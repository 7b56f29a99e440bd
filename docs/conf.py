"""How Sphinx makes these pages: `make docs`."""

import importlib.util
import inspect
import os
import re
import sys
import warnings
from pathlib import Path

from sphinx.ext.autosummary import import_by_name

import fastrfm

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

project = "fastrfm"
author = "fastrfm developers"
copyright = author
version = release = fastrfm.__version__

extensions = [
    "mathml",  # in _ext
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build"]
templates_path = ["_templates"]
trim_doctest_flags = True

# The API: what `__all__` of the modules in api.rst names, and nothing else.
autosummary_generate = True
autosummary_imported_members = True
autosummary_ignore_module_all = False
# Types stand in the docstrings, with their shapes.
autodoc_typehints = "none"
# The template of classes lists the members.
numpydoc_show_class_members = False
# fastrfm.neural, the one module that imports PyTorch, has its page without it too.
if importlib.util.find_spec("torch") is None:
    autodoc_mock_imports = ["torch"]
# The modules with a page.
PAGES = re.findall(r"^   (fastrfm\S*)$", (HERE / "api.rst").read_text(), re.MULTILINE)


def own(name: str, attributes: list[str] | None = None) -> list[str]:
    """Return those public attributes of a module or class that its page shows.

    That is what fastrfm defines, but for what a module that has a page of its own defines.

    Parameters
    ----------
    name : str
        Of the module or the class, in full.
    attributes : list of str, optional
        To choose from; by default the methods of a class, inherited ones included.
    """
    found = import_by_name(name)[1]
    if attributes is None:
        attributes = [method for method, _ in inspect.getmembers(found, inspect.isroutine)]

    def home(attribute: str) -> str:
        # What is written in C may have none.
        return getattr(inspect.unwrap(getattr(found, attribute)), "__module__", None) or ""

    return [
        attribute
        for attribute in attributes
        if not attribute.startswith("_")
        and home(attribute).startswith("fastrfm")
        and not any(home(attribute).startswith(page) for page in PAGES if page > name)
    ]


autosummary_context = {"own": own}
suppress_warnings = ["config.cache"]  # a function in the configuration is not to be cached

# References to other projects resolve where their inventories can be fetched; a build without
# network, as in continuous integration, shows the bare names.
if os.environ.get("FASTRFM_DOCS_INTERSPHINX"):
    extensions.append("sphinx.ext.intersphinx")
    intersphinx_mapping = {
        "numpy": ("https://numpy.org/doc/stable", None),
        "python": ("https://docs.python.org/3", None),
        "sklearn": ("https://scikit-learn.org/stable", None),
        "torch": ("https://docs.pytorch.org/docs/stable", None),
    }
else:
    nitpick_ignore_regex = [("py:.*", r"(numpy|sklearn|torch)\..*")]
nitpicky = True

html_theme = "pydata_sphinx_theme"
html_title = "fastrfm"
html_static_path = ["_static"]
html_css_files = ["fastrfm.css"]
html_math_renderer = "mathml"
html_show_sourcelink = False
html_theme_options = {
    "navbar_end": ["theme-switcher"],
    "show_prev_next": True,
    "secondary_sidebar_items": ["page-toc"],
    "show_toc_level": 2,
    "show_nav_level": 2,
}

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"/plot_",  # others are shown, not run
    "ignore_pattern": r"(^|/)_",  # what scripts share
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_memory": False,
    "show_signature": False,
    "remove_config_comments": True,
    "plot_gallery": True,
    "image_srcset": ["2x"],
    "min_reported_time": 1,
    # Of what a cell ends with, frames are shown, and not where in memory a display lies.
    "capture_repr": ("_repr_html_",),
}
# sphinx-gallery runs the examples without a display.
warnings.filterwarnings("ignore", message=".*non-interactive, and thus cannot be shown.*")
