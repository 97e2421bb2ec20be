"""What training is made of: rows on the device, stacked models, gradients per task, optimiser, scores. All torch."""
