"""Long lists of parts in groups, in teaching order. A part without a family is listed all the same."""

from __future__ import annotations

#: kind -> family -> names.
FAMILIES: dict[str, dict[str, tuple[str, ...]]] = {
    # Systems by the problem that they were built for.
    "recipe": {
        "funnel": (
            "esmm",
            "esmm_ns",
            "base_cvr",
            "aman",
            "oversampling",
            "unbias",
            "division",
            "esm2",
            "aitm",
            "escm2",
            "meituan",
        ),
        "sequences": ("dupn",),
        "feeds": ("youtube", "zhihu", "meitu_nfwfm"),
        "architectures": ("mmoe", "ple", "adatt", "stem", "pepnet"),
    },
    "trunk": {
        "separate": ("single_task",),
        "shared": ("shared_bottom",),
        "soft": ("soft_sharing", "cross_stitch", "sluice"),
        "shared and own": ("asymmetric", "customized"),
        "experts": ("omoe", "mmoe", "ml_mmoe"),
        "private experts": ("cgc", "ple", "adatt", "stem"),
        "routes": ("snr", "dselect_k"),
        "personal": ("pepnet",),
    },
    "head": {
        "plain": ("independent",),
        "funnel": ("division", "esmm", "esm2", "aitm"),
        "counterfactual": ("escm2_ips", "escm2_dr", "dcmt"),
        "position": ("shallow_tower",),
    },
    "balancer": {
        "given": ("static", "decay"),
        "learned": ("uncertainty", "uncertainty_positive", "imtl_l", "gradnorm", "famo"),
        "from losses": ("dwa", "rlw", "gls"),
        "Pareto": ("mgda", "pe_ltr", "epo"),
        "surgery": ("pcgrad", "gradvac", "graddrop"),
        "direction": ("cagrad", "imtl_g", "nash", "aligned", "upgrad"),
    },
}


def family(kind: str, name: str) -> str | None:
    """The family of a part."""
    return next((title for title, names in FAMILIES.get(kind, {}).items() if name in names), None)
