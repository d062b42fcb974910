"""Average precision of detections, by COCO's and by Pascal VOC's rules, with intervals.

`objects` holds boxes as columns, `matching` tells which detections find a true object, image by
image, `matches` keeps and merges what was told, `ranking` computes average precision under any
weighting of the images, `measures` names the metrics and gives intervals and comparisons,
`curves` and `errors` say where a detector fails.
"""
