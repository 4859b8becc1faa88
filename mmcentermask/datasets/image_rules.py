"""Rules on the image files of a COCO dataset."""

from .rules import Finding, rule


def _image_rule(name: str, severity: str, text: str, hint: str) -> None:
    @rule(name, severity, text, hint)
    def _(t):
        for image, problem in t.image_problems:
            if problem.rule == name:
                yield Finding(problem.detail, image=image)


_image_rule('image-missing', 'error', 'there is no image file', 'put the file there, or correct file_name')
_image_rule('image-damaged', 'error', 'image cannot be decoded', 'replace it by a complete copy, or leave it out')
_image_rule(
    'image-size',
    'error',
    'image has another size than its entry says',
    'annotate the images as they are read, and write that size into the entries; where EXIF turned an image that was '
    'annotated as it is stored, set color_type=color_ignore_orientation in each LoadTrainingImage and '
    'LoadImageFromFile: --cfg-options train_dataloader.dataset.pipeline.0.color_type=color_ignore_orientation, and so '
    'for val_dataloader and test_dataloader',
)
_image_rule(
    'image-depth',
    'error',
    'image has more than 8 bits or 4 channels',
    'scale the images to 8 bits, 3 channels, in the same way as those that the weights were trained on',
)
_image_rule(
    'image-turned',
    'warning',
    'image is turned or mirrored by its EXIF orientation, which its size does not show',
    'make sure that it was annotated upright, or set color_type=color_ignore_orientation in its loader',
)
_image_rule(
    'image-alpha',
    'warning',
    'image has a fourth channel (transparency or another band), which is not read',
    'make sure that the other three are the image as it was annotated',
)
_image_rule('image-elsewhere', 'warning', 'image is outside of the image folder', 'make sure that this is meant')
