"""What a figure says, as a reader sees it: no text too small, over another, or cut off."""

SMALLEST = 8  # points


def seen(figure):
    """Yield each text of a figure that is drawn, with its box in dots."""
    from matplotlib.text import Text

    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    ticks = {}
    for axes in figure.findobj(lambda artist: hasattr(artist, "get_xticklabels")):
        for labels, (low, high), place in (
            (axes.get_xticklabels(), sorted(axes.get_xlim()), 0),
            (axes.get_yticklabels(), sorted(axes.get_ylim()), 1),
        ):
            for label in labels:  # those beyond the limits are there, and are not drawn
                inside = low <= label.get_position()[place] <= high
                ticks[label] = axes.axison and inside
    for text in figure.findobj(Text):
        axis_is_off = text.axes is not None and not text.axes.axison and text is text.axes.title
        if text.get_visible() and text.get_text() and ticks.get(text, True) and not axis_is_off:
            yield text, text.get_window_extent(renderer)


def check_texts(figure):
    """Check every text of a figure against the picture and all others."""
    found = list(seen(figure))
    assert found
    for i, (text, box) in enumerate(found):
        words = text.get_text()
        assert text.get_fontsize() >= SMALLEST, words
        assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1, words
        assert figure.bbox.y0 <= box.y0 < box.y1 <= figure.bbox.y1, words
        for other, its in found[i + 1 :]:
            assert not box.overlaps(its), (words, other.get_text())
