"""Figures and tables of `benchmarks.pf`, of what it matched.

A scene is a `pf.Scene`, and what was matched is what `pf.measure` returns.
"""

import numpy as np

from benchmarks.semantic import regions, semantic

ALPHA = 0.1


def figures(result, scene):
    """What `measure` gave, as figures: `pck`, way -> what it is measured against and averaged over -> share.

    A B with fewer than two key points has no extent, and does not count there. Where the truth of a pair is known,
    also the areas `pcr` and `miou` of the regions on the object, the `most` regions of a pair, and how many `pairs`.
    """
    found = {"pck": {way: _pck(points, scene) for way, points in result["points"].items()}}
    if result["ious"]:
        curve = regions.mean_iou_curve(result["ious"], result["scores"])
        areas = {"pcr": float(regions.area_under_pcr(result["ious"])), "miou": float(np.mean(curve))}
        found["regions"] = {**areas, "most": len(curve), "pairs": len(result["ious"])}
    return found


def _pck(points, scene):
    """The shares of points [P, K, 2] in pixels of B that are right: what that is measured against -> share."""
    pictures = scene.pairs.pictures
    a, b = scene.pairs.indices.T
    given = {"extent": semantic.extent(pictures.landmarks, pictures.annotated)[b], "size": scene.sizes[b]}
    given.update({} if pictures.boxes is None else {"box": pictures.boxes[b]})
    known = dict.fromkeys(given, pictures.annotated[a] * pictures.annotated[b])
    known["extent"] = known["extent"] * (given["extent"] > 0)[:, np.newaxis]
    shares = {}
    for against in given:
        for average in ("points", "images"):
            options = {"against": against, "reference": given[against], "average": average}
            (share,) = semantic.transfer_pck(points, pictures.landmarks[b], known[against], [ALPHA], **options)
            shares[f"{against}, mean of {'pairs' if average == 'images' else average}"] = float(share)
    return shares


def point_table(measured, scene):
    """Lines of the table of key points, of `figures`.

    The first row looks at nothing: a point stays where it was on the picture.
    """
    a, b = scene.pairs.indices.T
    still = scene.pairs.pictures.landmarks[a] * (scene.sizes[b] / scene.sizes[a])[:, np.newaxis, ::-1]
    of_still = _pck(still, scene)
    lines = [f"| PCK@{ALPHA} | matching | {' | '.join(of_still)} |", "|---" * (len(of_still) + 2) + "|"]
    for row, found in {"same place": {"pck": {"-": of_still}}, **measured}.items():
        for way, shares in found["pck"].items():
            lines.append(f"| {row} | {way} | {' | '.join(f'{share:.3f}' for share in shares.values())} |")
    return lines


def region_table(measured, scene):
    """Lines of the table of regions, of `figures`; its last row is the best that the proposals allow."""
    lines = ["| regions | area under PCR | area under mIoU@k | pairs |", "|---|---|---|---|"]
    for row, found in measured.items():
        of = found["regions"]
        lines.append(f"| {row} | {of['pcr']:.3f} | {of['miou']:.3f} (k to {of['most']}) | {of['pairs']} |")
    known = [(true[1], scene.boxes[b]) for (_, b), true in zip(scene.pairs.indices, scene.true) if true is not None]
    bounds = [regions.overlaps(boxes[:, np.newaxis], others).max(axis=1) for boxes, others in known]
    return [*lines, f"| best of the proposals | {regions.area_under_pcr(bounds):.3f} | - | {len(bounds)} |"]
