"""What training draws, from its key alone: dropout masks and augmented images. Philox4x32-10, Salmon et al. 2011."""

import numpy as np

DROPOUT, AUGMENT = 3 << 24, 4 << 24  # the streams of random numbers
LOW = np.uint64(2**32 - 1)


def philox(counter, key):
    """Return four words for each counter, a tuple of four words or arrays of them. key: (seed, id)."""
    c = [np.asarray(word, np.uint64) for word in counter]
    k = [np.uint64(word) for word in key]
    for _ in range(10):
        a, b = np.uint64(0xD2511F53) * c[0], np.uint64(0xCD9E8D57) * c[2]
        c = [b >> np.uint64(32) ^ c[1] ^ k[0], b & LOW, a >> np.uint64(32) ^ c[3] ^ k[1], a & LOW]
        k = [k[0] + np.uint64(0x9E3779B9) & LOW, k[1] + np.uint64(0xBB67AE85) & LOW]
    return c


def dropout_mask(rate, layer, rows, features, *, step, key):
    """Return the factors (rows, features) of a dropout layer, the layer-th of its network."""
    row, f = np.arange(rows)[:, np.newaxis], np.arange(features)
    words = philox((f // 64 * 16 + f % 16, row, step, DROPOUT | layer), key)
    word = np.choose(f % 64 // 16, np.broadcast_arrays(*words))
    return (word >= rate * 2**32) / (1 - rate)


def augmented(images, pad, flip, *, step, key):
    """Return a batch of images (B, height, width, ...), each shifted and mirrored as the member draws it at a step."""
    rows = np.arange(len(images))
    words = philox((0, rows, step, AUGMENT), key)
    dy, dx = ((word * np.uint64(2 * pad + 1) >> np.uint64(32)).astype(int) - pad for word in words[:2])
    mirrored = flip & (words[2] >> np.uint64(31)).astype(bool)
    out = np.zeros_like(images)
    for row, h, w in np.ndindex(*images.shape[:3]):
        height, width = images.shape[1:3]
        i, j = h + dy[row], (width - 1 - w if mirrored[row] else w) + dx[row]
        if 0 <= i < height and 0 <= j < width:
            out[row, h, w] = images[row, i, j]
    return out
