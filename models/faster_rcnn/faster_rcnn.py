"""Faster R-CNN and Mask R-CNN."""

import keras
import tensorflow as tf

from conveyor.models.detection.anchors import anchors_of, chosen_shapes
from conveyor.models.detection.detector import Detector
from conveyor.models.detection.settings import DETECTIONS
from conveyor.models.faster_rcnn import heads
from conveyor.models.faster_rcnn.losses import (
    draw_regions,
    mask_loss,
    own_class,
    proposal_losses,
    region_losses,
)
from conveyor.models.faster_rcnn.regions import Proposals, RegionFeatures
from conveyor.models.faster_rcnn.settings import MASKS, PROPOSALS, REGIONS
from conveyor.models.layers.feature_levels import feature_levels
from conveyor.models.layers.feature_pyramid import feature_pyramid
from conveyor.models.ops.instances import crop_instances
from conveyor.models.ops.offsets import decode

PARTS = ("objectness_loss", "proposal_loss", "class_loss", "box_loss")


@keras.saving.register_keras_serializable("conveyor")
class FasterRCNN(Detector):
    """A network that proposes regions, and heads that tell what each shows, on one feature pyramid.

    Both stages learn together, from one loss; no gradient goes through the proposals' coordinates. The
    second stage learns from regions drawn from the proposals and the true boxes, in each step others: what
    is drawn follows from the number of steps done, which is part of a checkpoint.

    Args:
        image_shape: (height, width, channels) of the model input.
        classes: Number of classes, without background.
        backbone: Which classifier gives the feature maps: `family`, and its other settings.
        finest: Level of the pyramid's first map, whose stride is 2^finest pixels.
        coarsest: Level of its last.
        anchors: "regular", or "auto", whose shapes `fitted` finds.
        scales: Square roots of the areas of regular anchors, in strides of their level.
        aspect_ratios: Width / height of regular anchors.
        per_place: Fitted anchors at each place.
        shapes: Width and height in pixels of the anchors of each level; in place of all those.
        filters: Channels of the pyramid.
        proposals: Fields of `ProposalsSettings`.
        regions: Fields of `RegionsSettings`.
        mask_head: Whether each object's mask is found too: Mask R-CNN. Its targets then have `instances`
            int32 [n, height, width, 1], see `conveyor.models.ops.instances`, and `instance` int32 [n, m],
            the pixels that each object has there.
        masks: Fields of `MasksSettings`.
        detections: Fields of `DetectionsSettings`.

    Returns:
        A model from float32 [n, height, width, channels] to `objectness` [n, a], `offsets` [n, a, 4] from
        the anchors, `proposals` [n, p, 4], xyxy in pixels, -1 is padding; of these `class_logits`
        [n, p, classes + 1], background last, `box_offsets` [n, p, classes, 4], and with a mask head
        `mask_logits` [n, p, s, s, classes]; and the pyramid's maps, `map_2` and so on; all float32.

    Raises:
        ValueError: The backbone has no such maps, the images differ in size, or "auto" has no shapes.

    Source: Ren et al., "Faster R-CNN", NIPS 2015; Lin et al., "Feature Pyramid Networks", CVPR 2017; He et
    al., "Mask R-CNN", ICCV 2017.
    """

    def __init__(
        self,
        image_shape,
        classes,
        backbone,
        finest=2,
        coarsest=5,
        anchors="regular",
        scales=(8.0,),
        aspect_ratios=(0.5, 1.0, 2.0),
        per_place=3,
        shapes=None,
        filters=64,
        proposals=PROPOSALS,
        regions=REGIONS,
        mask_head=False,
        masks=MASKS,
        detections=DETECTIONS,
        **kwargs,
    ):
        levels = range(finest, coarsest + 1)
        found_shapes = chosen_shapes(anchors, levels, scales, aspect_ratios, shapes)
        anchor_levels = anchors_of(image_shape, levels, found_shapes)
        size, pooling = tuple(image_shape[:2]), regions["pooling"]
        limits = {name: proposals[name] for name in ("before", "most", "iou")}
        # === layers ===
        propose = Proposals(anchor_levels, size, **limits, name="proposals")
        region_features = RegionFeatures(levels, regions["size"], pooling, name="region_features")
        box_head = heads.box_head(regions["size"], filters, regions["dense"], classes)
        # === functional ===
        network = feature_levels(backbone, image_shape, finest, coarsest)
        pyramid = feature_pyramid(network.maps, filters, coarsest)
        maps = [heads.joined([pyramid[level]], f"map_{level}") for level in levels]
        objectness, offsets = heads.proposal_head(
            [pyramid[level] for level in levels], filters, len(found_shapes[0])
        )
        found = propose(objectness, offsets)
        logits, moves = box_head(region_features(maps, found))
        outputs = {
            "objectness": objectness,
            "offsets": offsets,
            "proposals": found,
            "class_logits": logits,
            "box_offsets": moves,
            **{f"map_{level}": values for level, values in zip(levels, maps, strict=True)},
        }
        if mask_head:
            mask_features = RegionFeatures(levels, masks["size"], pooling, name="mask_features")
            masks_of = heads.mask_head(masks["size"], filters, masks["filters"], classes)
            outputs["mask_logits"] = _each(masks_of, mask_features(maps, found))
        parts = [*PARTS, "mask_loss"] if mask_head else PARTS
        shared = {"parts": parts, "detections": detections}
        super().__init__(inputs=network.inputs, outputs=outputs, **shared, **kwargs)
        self.features_layer = f"pyramid_{finest}"
        self.stands_on(network.source)
        self.positive_iou, self.negative_iou = proposals["positive"], proposals["negative"]
        self.anchor_levels = anchor_levels
        # === config ===
        self.arguments = {
            "image_shape": tuple(image_shape),
            "classes": classes,
            "backbone": dict(backbone),
            "finest": finest,
            "coarsest": coarsest,
            "filters": filters,
            "anchors": anchors,
            "scales": list(scales),
            "aspect_ratios": list(aspect_ratios),
            "per_place": per_place,
            "shapes": shapes,
            "proposals": dict(proposals),
            "regions": dict(regions),
            "mask_head": mask_head,
            "masks": dict(masks),
            "detections": dict(detections),
        }

    # === training ===

    def losses_of(self, inputs, targets, raw, training):
        del inputs
        how = self.arguments
        optimizer = getattr(self, "optimizer", None)  # Keras has none before `compile`
        step = optimizer.iterations if training and optimizer is not None else 0
        step = tf.cast(tf.convert_to_tensor(step), tf.int32)
        matched = self.assigned(targets)
        anchors = self.anchors()
        objectness, moved = proposal_losses(
            raw, anchors, matched, targets, how["proposals"], tf.stack([step, 0])
        )
        drawn = draw_regions(raw["proposals"], targets, how["regions"], tf.stack([step, 1]))
        features = self.get_layer("region_features")(self._maps(raw), drawn.boxes)
        logits, offsets = self.get_layer("box_head")(features, training=training)
        class_loss, box_loss = region_losses(logits, offsets, drawn, how["regions"]["box_loss"])
        parts = dict(zip(PARTS, (objectness, moved, class_loss, box_loss), strict=True))
        if how["mask_head"]:
            parts["mask_loss"] = self._mask_loss(targets, raw, drawn)
        return parts

    def _mask_loss(self, targets, raw, drawn):
        if "instances" not in targets:
            raise ValueError(
                "expected targets with `instances` for the mask head: task.kind=instance_segmentation has"
                f" them. Received: {sorted(targets)}"
            )
        boxes, owner, labels = (part[:, : drawn.most] for part in (drawn.boxes, drawn.matched, drawn.labels))
        logits = self._mask_logits(self._maps(raw), boxes)
        pixels = tf.gather(targets["instance"], tf.maximum(owner, 0), batch_dims=1)
        shown = crop_instances(targets["instances"], boxes, tf.where(owner >= 0, pixels, 0), logits.shape[2])
        return mask_loss(logits, labels, shown)

    # === serving ===

    def scored(self, inputs, raw):
        del inputs
        proposals = raw["proposals"]
        boxes = decode(raw["box_offsets"], proposals[:, :, tf.newaxis])
        scores = tf.nn.softmax(tf.cast(raw["class_logits"], tf.float32))[..., :-1]
        there = proposals[..., 2:3] > proposals[..., :1]  # not padding
        return boxes, tf.where(there, scores, 0.0)

    def serve(self, inputs):
        raw = self(inputs, training=False)
        kept = self.keep(inputs, *self.scored(inputs, raw))
        if self.arguments["mask_head"]:
            logits = self._mask_logits(self._maps(raw), kept["boxes"])
            kept["masks"] = tf.sigmoid(own_class(logits, kept["labels"]))
        return kept

    def _mask_logits(self, maps, boxes):
        return _each(self.get_layer("mask_head"), self.get_layer("mask_features")(maps, boxes))

    def _maps(self, raw):
        levels = range(self.arguments["finest"], self.arguments["coarsest"] + 1)
        return [raw[f"map_{level}"] for level in levels]


def _each(model, regions):
    """Applies a model for single regions to those of a batch, [n, r, ...]."""
    count = regions.shape[1]
    answers = model(keras.ops.reshape(regions, (-1, *regions.shape[2:])))
    return keras.ops.reshape(answers, (-1, count, *answers.shape[1:]))
