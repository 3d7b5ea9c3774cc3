"""Pictures of labels and of what is found by them: arrays in, uint8 pictures out.

A picture is a function of `gallery.Material` that is registered in `registry.PICTURES` where it stands:

    from dense_labels.registry import PICTURES

    @PICTURES.register("lengths", "How long the labels are.", title="Lengths", needs=("labels_a",), place=15)
    def draw_lengths(material):
        ...  # -> uint8 [H, W, 3], or None where there is nothing to draw

`needs` names the fields of the material that it is drawn from, `place` where it stands on the page: pictures with a
lower number come first, those without one last.
"""
