"""A compact masked autoencoder for animal sound, and what its notebooks share: `from lib import mel, patches, mae`.

The house, from the ground up; each floor imports only from those below it (tests/test_floors.py):

    the heart    flat, read in this order: audio, mel, patches, mae, sampler, recordings, data, training, pretrain,
                 checkpoints; beside them hardware (device and precision), metrics (scores and intervals), attention
                 (where a ViT looks), plots (one look), paths (files, keys, processes, command lines), progress,
                 container and mp3 (whether a sound file is whole)
    sources/     where recordings come from: one table for all, downloads, public data sets, the synthetic chorus
    transfer/    what a pretrained encoder is good for: starts, public weights, finetuning, probes, baselines, curation;
                 frozen models of others behind the same interface
    field/       what people with recordings do with it: detectors that are kept, events, scores, picks, embeddings
    hear/        MSM-MAE's benchmark of frozen features, and HEAR's interface to our models
    explorers/   widgets: a class with a pure `update` each
    runs/        what a scale means, what a run costs, its record, the launcher, the results
    course/      exercises with their checks, seeded faults, Colab's set-up, the builder of notebooks

One clip's way through it:

    file    -> wave    audio.read              samples (N,) at the front end's rate
    wave    -> clip    data.Clips              a random crop of the model's length, from (seed, number of the draw)
    clip    -> batch   sampler.Mixture         the exact ratio of the two pools; data.loader cuts it on the device
    batch   -> spec    mel.LogMel              log-mel (B, 1, T, M), on the device; on a CPU recordings.Recordings makes
                                               it first, once a recording, and clips are cut from its frames
    spec    -> patches patches.patchify        (B, L, pt*pf), time before mel
    patches -> mask    patches.random_mask     which of them are hidden
    visible -> latent  mae.MAE.encode          (B, 1+K, D) by a stock timm ViT
    latent  -> guess   mae.MAE.decode          (B, L, pt*pf) by a small decoder
    guess   -> loss    mae.MAE.loss            squared error over the hidden patches
    loss    -> weights training.fit            backward, step, saved and resumed; pretrain.pretrain is recipe and loop
"""

import os

# Read when OpenMP and torch are loaded, which is later: notebooks and commands import lib first. No number changes.
# A thread that waits sleeps after some 40 us, not 3 ms: beside one busy program two Xeon cores train `tiny` at 165
# clips/s instead of 49, and alone at 297 instead of 309, which is within the noise.
os.environ.setdefault("GOMP_SPINCOUNT", "4000")
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # large pages: a step's tensors cost fewer page faults (Linux)
