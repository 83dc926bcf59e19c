"""Typical mistakes in notebook 02's exercises, and words of the hint that each must get."""
import torch


def no_zero(model, optimizer, spec, mask):
    value = model(spec, mask).loss
    value.backward()
    optimizer.step()
    return value.item()


def zero_between(model, optimizer, spec, mask):
    value = model(spec, mask).loss
    value.backward()
    optimizer.zero_grad()
    optimizer.step()
    return value.item()


def too_early(model, optimizer, spec, mask):
    optimizer.step()
    optimizer.zero_grad()
    value = model(spec, mask).loss
    value.backward()
    return value.item()


def doubled(model, optimizer, spec, mask):
    optimizer.zero_grad()
    value = model(spec, mask).loss
    value.backward()
    optimizer.step()
    return 2 * value


def frozen(which):
    def freeze(model):
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(not which(name))
        return model
    return freeze


def frozen_blocks(model):
    model.decoder_blocks.requires_grad_(False)
    return model


def frozen_by_name(model):
    for name, parameter in model.named_parameters():
        if name.startswith("decoder"):
            parameter.requires_grad_(False)
    return model


def rows_of(x, grid, mean):
    return mean(x.unflatten(1, grid), 1, keepdim=True).expand(-1, grid.t, -1, -1).flatten(1, 2)


MISTAKES = {
    "masked_loss": [(lambda guess, target, hidden: (guess - target).square().mean(), "the mean over all patches"),
                    (lambda guess, target, hidden: (guess - target)[~hidden].square().mean(),
                     "on the *visible* patches"),
                    (lambda guess, target, hidden: ((guess - target).square().mean(-1) * hidden).mean(),
                     "below the fraction line")],
    "pasted": [(lambda x, guess, hidden: torch.where(hidden[..., None], guess, x),
                "in the units of a normalised patch"),
                (lambda x, guess, hidden: torch.where(hidden[..., None], x, guess * x.std(-1, keepdim=True)
                                                      + x.mean(-1, keepdim=True)), "wrong way round"),
                (lambda x, guess, hidden: torch.where(hidden[..., None], guess * x.std() + x.mean(), x),
                 "normalised by its own")],
    "train_step": [(no_zero, "add up"), (zero_between, "have not moved"), (too_early, "lag a step behind"),
                   (doubled, "return the loss of the step as a number")],
    "freeze_decoder": [(frozen_by_name, "the mask token"),
                       (frozen_blocks, "these still train: decoder_embed, decoder_norm, decoder_pred, mask_token"),
                       (frozen(lambda name: name.startswith("encoder.")), "the wrong half"),
                       (frozen(lambda name: not name.startswith("encoder.")), "did not train before")],
    "my_guess": [(lambda x, grid: rows_of(x, grid, torch.Tensor.mean), "have come into your averages"),
                 (lambda x, grid: rows_of(x, grid, torch.Tensor.nanmean), "has no visible patch"),
                 (lambda x, grid: x.nanmean((1, 2), keepdim=True).expand_as(x), "rows differ"),
                 (lambda x, grid: x.unflatten(1, grid).nanmean(1), "a guess for every patch")],
}
