"""Strips of images have no background of their own."""

import numpy as np

from experiments.reporting.figures.strips import Strip


def test_between_images_there_is_nothing():
    images = np.full((3, 2, 2, 1), 7, np.uint8)
    pixels = Strip("three", images).montage()
    shown = pixels[..., 3] == 255
    assert shown.sum() == images.size
    assert (pixels[shown] == [7, 7, 7, 255]).all()
    assert (pixels[~shown] == 0).all()
