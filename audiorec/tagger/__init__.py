"""Log-mel segments to scores.

weights          the shipped networks: tags, licences, checksums
backbone         segments (T, 187, 96) → features; ONNX Runtime
backbone_torch   the same in torch: the readable reference, training, GPUs
heads            features → class scores (T, H)
"""
