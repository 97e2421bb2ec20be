"""The brick that explains the mixture family."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mtl_core.nn.initial import uniform
from mtl_core.nn.mlp import MLPBank, apart, side_by_side
from mtl_core.trunks.wiring import Level

#: Matrices of a batch whose product takes fewer multiply-adds than this are multiplied by torch in a plain loop.
SMALL_PRODUCT = 400


class _Readers(NamedTuple):
    """Experts, and weights of gates, that read one stream: one product serves all of them."""

    stream: int
    experts: slice
    pairs: slice


class GatedExperts(nn.Module):
    """E experts and G gates over those each may see.

    Args:
        level: who reads what and who sees whom. OMoE's `visible` is ones(1, E), MMoE's ones(K, E), those of CGC and PLE
            are block matrices, a shared bottom's is ones(1, 1), that of single-task models the identity.
        width: columns of each stream.
        encoder_width: columns of each of the encoder's streams, for a level whose gates select from those.

    A gate is softmax(W_g x) without bias, over the visible experts only: an invisible one has weight exactly 0 and no
    parameters. A gate that sees a single expert has no parameters at all, and neither has one with fixed weights.
    """

    source: Tensor
    selector: Tensor
    beside: Tensor
    visible: Tensor
    row: Tensor
    ends: Tensor
    fixed: Tensor
    detached: Tensor
    native_place: Tensor

    def __init__(self, level: Level, width: int, encoder_width: int, generator: torch.Generator) -> None:
        super().__init__()
        experts, gates = level.experts, level.gates
        self.experts = MLPBank(len(experts), width, level.layers, generator)
        self.selects_from_encoder = level.selectors == "encoder"
        columns = encoder_width if self.selects_from_encoder else width
        seen = torch.tensor(level.visible)
        chooses = seen & torch.tensor([gate.chooses for gate in gates])[:, None]
        self.pairs = int(chooses.sum())
        #: One row per (gate, visible expert), gate-major; the last dimension is the selector's columns.
        self.gate_weight = uniform((self.pairs, columns), columns, generator) if self.pairs else None
        # row[g, e]: where that pair's weights stand; pairs without weights point past the last, where a logit of 0 is
        # put, and those that are not visible one further, where there is one of -inf.
        row = torch.where(seen, self.pairs, self.pairs + 1)
        row[chooses] = torch.arange(self.pairs)
        fixed, detached = torch.zeros(seen.shape), torch.zeros(seen.shape, dtype=torch.bool)
        for g, gate in enumerate(gates):
            detached[g, list(gate.detached)] = True
            if gate.fixed:
                fixed[g, list(gate.sees)] = torch.tensor(gate.fixed)
        self._keep("row", row)
        self._keep("ends", torch.tensor([0.0, float("-inf")]))
        self._keep("visible", seen)
        self._keep("fixed", fixed)
        self._keep("detached", detached)
        self._keep("source", torch.tensor([expert.source for expert in experts]))
        self._keep("selector", torch.tensor([gate.source for gate in gates]))
        # A gate without a second stream reads a stream of zeros in its place, put before the first.
        self._keep("beside", torch.tensor([0 if gate.beside is None else gate.beside + 1 for gate in gates]))
        self._build_native(level, generator)
        # Known while building, so that the forward pass branches on no data.
        #: Expert e reads stream e.
        self.in_order = all(expert.source == e for e, expert in enumerate(experts))
        self.one_selector = len({(gate.source, gate.beside) for gate in gates}) == 1
        self.first_selector = gates[0].source
        #: Gate g selects from the stream after that of the gate before it.
        self.consecutive = all(gate.source == gates[0].source + g for g, gate in enumerate(gates))
        self.sees_all = bool(seen.all())
        #: Every gate chooses among all experts, so that logits need no sorting.
        self.chooses_all = bool(chooses.all())
        self.adds = any(gate.beside is not None for gate in gates)
        self.any_fixed = any(gate.fixed for gate in gates)
        self.any_detached = bool(detached.any())
        self.small_mixes = len(gates) * len(experts) * level.layers[-1] < SMALL_PRODUCT
        self.readers = _readers(level)
        #: The readers' products make the gates' logits too.
        self.joint = bool(self.readers) and self.readers[-1].pairs.stop == self.pairs > 0

    def _build_native(self, level: Level, generator: torch.Generator) -> None:
        """Weights past the softmax: learned where a gate has several native experts, 1 where it has one."""
        learned = [gate.native for gate in level.gates if len(gate.native) > 1]
        start = [torch.empty(len(n)).uniform_(-1, 1, generator=generator) / math.sqrt(len(n)) for n in learned]
        self.native_weight = nn.Parameter(torch.cat(start)) if start else None
        # native_place[g, e]: where that pair's weight stands; then come a 0 for no such weight, and a 1.
        count = sum(len(native) for native in learned)
        place, used = torch.full((len(level.gates), len(level.experts)), count, dtype=torch.long), 0
        for g, gate in enumerate(level.gates):
            if len(gate.native) == 1:
                place[g, gate.native[0]] = count + 1
            elif gate.native:
                place[g, list(gate.native)] = torch.arange(used, used + len(gate.native))
                used += len(gate.native)
        self._keep("native_place", place)
        self.any_native = any(gate.native for gate in level.gates)

    def _keep(self, name: str, tensor: Tensor) -> None:
        self.register_buffer(name, tensor, persistent=False)

    def gates(
        self,
        x_SBD: Tensor,
        noise_BN: Tensor | None = None,
        dropout: float = 0.0,
        pairs_BP: Tensor | None = None,
    ) -> Tensor:
        """Gate weights [G, B, E]: exactly 0 where an expert is not visible; a softmax gate's rows sum to 1.

        Args:
            x_SBD: what the gates select from.
            pairs_BP: the logits, where they are known already.
            noise_BN: a uniform number for each pair of a gate that chooses and an expert that it sees.
            dropout: an expert whose number is below it is left out, and the others' weights are scaled up to sum to 1;
                that with the largest number always stays.
        """
        gates, rows = len(self.selector), x_SBD.shape[1]
        if self.gate_weight is None:
            alone = self.visible.to(x_SBD.dtype)
            weights = torch.where(self.fixed.any(1, keepdim=True), self.fixed, alone) if self.any_fixed else alone
            return weights[:, None, :].expand(gates, rows, -1)
        if pairs_BP is None and self.one_selector:
            pairs_BP = self._selector(x_SBD).squeeze(0) @ self.gate_weight.T  # one product for all gates
        if pairs_BP is not None:
            # Each pair's logit to its place.
            if not self.chooses_all:
                padded = torch.cat([pairs_BP, self.ends.to(pairs_BP.dtype).expand(rows, 2)], 1)
                pairs_BP = padded.index_select(1, self.row.flatten())
            logits, masked = pairs_BP.unflatten(1, self.row.shape).transpose(0, 1), True
        else:
            masked = self.sees_all
            padded = torch.cat([self.gate_weight, self.gate_weight.new_zeros(2, self.gate_weight.shape[1])])
            weight_GED = padded.index_select(0, self.row.flatten()).unflatten(0, self.row.shape)
            logits = torch.bmm(self._selector(x_SBD), weight_GED.transpose(1, 2))
        stays = self.visible[:, None, :]
        if noise_BN is not None:
            # Pairs without weights are never left out.
            u_BGE = torch.cat([noise_BN, noise_BN.new_ones(rows, 2)], 1)[:, self.row]
            u_GBE = u_BGE.transpose(0, 1)
            largest = u_GBE.masked_fill(~stays, -1.0).amax(2, keepdim=True)
            stays = stays & ((u_GBE >= dropout) | (u_GBE == largest))
            masked = False
        weights = _softmax(logits if masked else logits.masked_fill(~stays, float("-inf")))
        weights = weights if self.small_mixes else weights.contiguous()
        if self.any_fixed:
            weights = torch.where(self.fixed.any(1)[:, None, None], self.fixed[:, None, :], weights)
        return weights

    def _selector(self, x_SBD: Tensor) -> Tensor:
        """What the gates select from [G, B, D], or [1, B, D] where all select from the same."""
        if self.one_selector and not self.adds:
            return _stream(x_SBD, self.first_selector)
        gates = slice(1) if self.one_selector else slice(None)
        first, count = self.first_selector, len(self.selector[gates])
        if self.consecutive:
            selector = x_SBD if count == x_SBD.shape[0] else x_SBD[first : first + count]
        else:
            selector = x_SBD.index_select(0, self.selector[gates])
        if not self.adds:
            return selector
        return selector + torch.cat([torch.zeros_like(x_SBD[:1]), x_SBD]).index_select(0, self.beside[gates])

    def native(self) -> Tensor:
        """Weights past the softmax [G, E]: 0 for an expert that is not the gate's own."""
        ends = self.fixed.new_tensor([0.0, 1.0])
        values = ends if self.native_weight is None else torch.cat([self.native_weight, ends])
        return values[self.native_place]

    def _begin(self, x_SBD: Tensor) -> tuple[Tensor, Tensor | None]:
        """The experts' first layer [E, B, H], and the gates' logits [B, pairs] where the same products make them."""
        weight_EDH, bias_E1H = self.experts.weights[0], self.experts.biases[0]
        streams = x_SBD.unbind(0) if x_SBD.shape[0] > 1 else [x_SBD.squeeze(0)]
        hidden, pairs = [], []
        alone = len(self.readers) == 1
        for stream, experts, chosen in self.readers:
            of_experts = (weight_EDH, bias_E1H) if alone else (weight_EDH[experts], bias_E1H[experts])
            weight, bias = side_by_side(of_experts[0]), of_experts[1].flatten()
            count = chosen.stop - chosen.start
            if self.joint and count and self.gate_weight is not None:
                of_gates = self.gate_weight if alone else self.gate_weight[chosen]
                weight = torch.cat([weight, of_gates.T], 1)
                bias = torch.cat([bias, bias.new_zeros(count)])
                made, logits = torch.addmm(bias, streams[stream], weight).split([len(bias) - count, count], 1)
                pairs.append(logits)
            else:
                made = torch.addmm(bias, streams[stream], weight)
            hidden.append(made)
        hidden_EBH = apart(_joined(hidden), len(weight_EDH))
        # A few numbers in a row are slow to walk through in another order than they lie in.
        hidden_EBH = (hidden_EBH.contiguous() if self.small_mixes else hidden_EBH).relu()
        return hidden_EBH, _joined(pairs) if pairs else None

    def forward(
        self, x_SBD: Tensor, encoder_SBD: Tensor, noise_BN: Tensor | None = None, dropout: float = 0.0
    ) -> tuple[Tensor, Tensor]:
        """Streams in; mixes [G, B, H] and gate weights [G, B, E], without the native ones, out."""
        pairs_BP = None
        if self.readers:
            hidden_EBH, pairs_BP = self._begin(x_SBD)
            expert_EBH = self.experts(hidden_EBH, begun=True)
        else:
            as_it_is = self.in_order and x_SBD.shape[0] == len(self.source)
            expert_EBH = self.experts(x_SBD if as_it_is else x_SBD.index_select(0, self.source))
        gate_GBE = self.gates(encoder_SBD if self.selects_from_encoder else x_SBD, noise_BN, dropout, pairs_BP)
        weight_GBE = gate_GBE + self.native()[:, None, :] if self.any_native else gate_GBE
        if not self.any_detached:
            return self._mix(weight_GBE, expert_EBH), gate_GBE
        stopped = self.detached[:, None, :]
        trained = self._mix(weight_GBE.masked_fill(stopped, 0.0), expert_EBH)
        return trained + self._mix(weight_GBE.masked_fill(~stopped, 0.0), expert_EBH.detach()), gate_GBE

    def _mix(self, weight_GBE: Tensor, expert_EBH: Tensor) -> Tensor:
        """Mixes [G, B, H]."""
        if self.small_mixes:
            return (weight_GBE.transpose(1, 2)[..., None] * expert_EBH.contiguous()).sum(1)
        return torch.matmul(weight_GBE.transpose(0, 1), expert_EBH.transpose(0, 1)).transpose(0, 1)


def _readers(level: Level) -> list[_Readers]:
    """Experts by the stream that they read; none where few share one, and a batch of products serves them better.

    Gates are added to those that read their stream if that takes in all gates, in their order.
    """
    sources = [expert.source for expert in level.experts]
    streams = sorted(set(sources))
    if sources != sorted(sources) or len(streams) > max(1, len(sources) // 2):
        return []
    gates = [gate for gate in level.gates if gate.chooses]
    selectors = [gate.source for gate in gates]
    joint = level.selectors == "streams" and selectors == sorted(selectors) and set(selectors) <= set(streams)
    joint = joint and all(gate.beside is None for gate in gates)
    found, expert, pair = [], 0, 0
    for stream in streams:
        experts = slice(expert, expert := expert + sources.count(stream))
        count = sum(len(gate.sees) for gate in gates if gate.source == stream) if joint else 0
        found.append(_Readers(stream, experts, slice(pair, pair := pair + count)))
    return found


def _joined(parts: list[Tensor]) -> Tensor:
    """Side by side."""
    return torch.cat(parts, 1) if len(parts) > 1 else parts[0]


def _softmax(logit_GBE: Tensor) -> Tensor:
    """Softmax over the experts, laid out in memory as [G, E, B].

    Taken over the middle of that: along a last dimension of a few numbers torch's kernel goes row by row and takes ten
    times as long.
    """
    return torch.softmax(logit_GBE.transpose(1, 2).contiguous(), dim=1).transpose(1, 2)


def _stream(x_SBD: Tensor, place: int) -> Tensor:
    """One stream [1, B, D], without a copy; where there is but one, without a step in the graph either."""
    return x_SBD if x_SBD.shape[0] == 1 else x_SBD[place : place + 1]
