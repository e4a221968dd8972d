"""The site's build: what MkDocs calls, and when."""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from pymdownx.slugs import slugify

from docs.generate import api, benchmarks, cli, drawings, files


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Anchors as forges make them, and the generated part of the navigation."""
    config.mdx_configs["toc"]["slugify"] = slugify(case="lower")
    config.nav = [_filled(entry) for entry in config.nav or []]
    return config


def on_files(site: Files, config: MkDocsConfig) -> Files:
    """Add what is not in docs/."""
    for path, page in files.PAGES.items():
        site.append(File.generated(config, page, content=(files.ROOT / path).read_text()))
    for path in sorted(files.sources()):
        content = (files.ROOT / path).read_bytes() if files.is_image(path) else files.code_page(path)
        site.append(File.generated(config, files.page_of(path), content=content))
    for module in api.modules():
        site.append(File.generated(config, api.page_of(module), content=api.page(module)))
    site.append(File.generated(config, "cli.md", content=cli.page()))
    site.append(File.generated(config, "benchmarks.md", content=benchmarks.page()))
    return site


def on_page_markdown(markdown: str, page: Any, config: MkDocsConfig, files: Any) -> str:
    """Links as the site has them, and drawings as parts of the page, so that they follow its colours."""
    return drawings.inlined(_files.relinked(markdown, _files.home_of(page.file.src_uri)))


def _filled(entry: Any) -> Any:
    return {"API reference": api.nav()} if entry == {"API reference": "generated"} else entry


_files = files  # MkDocs calls an argument of `on_page_markdown` by this name
