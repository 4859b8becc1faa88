"""Panoptic quality (Kirillov et al., arXiv 1801.00868), counted by hotcoco on files of COCO's form."""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from mmdet.registry import METRICS
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from ..atomic_write import atomic_write
from ..datasets.coco import read_coco
from ..errors import AnnotationError, InputError
from ..structures import encode_segment_ids, list_segments

_GROUPS = {'All': '', 'Things': '_th', 'Stuff': '_st'}


@METRICS.register_module()
class PanopticQualityMetric(BaseMetric):
    """PQ, SQ and RQ of all classes, of things and of stuff, in percent; CocoPanopticMetric without panopticapi.

    A segment is found where a predicted one of its class has an IoU above 0.5 with it. What is predicted mostly on
    void, or on a crowd of its class, does not count.

    Args:
        ann_file (str): Panoptic JSON file of the images that are predicted.
        seg_prefix (str, optional): Folder of its PNGs. Defaults to None, which is for ``format_only``.
        classwise (bool): Return the PQ of each class, too. Defaults to False.
        format_only (bool): Write the predictions, and compare them with nothing. Defaults to False.
        outfile_prefix (str, optional): Write the predictions to ``PREFIX.panoptic.json`` and, as PNGs, to the folder
            ``PREFIX.panoptic``. Defaults to None, which keeps no files.
        **kwargs: As BaseMetric.

    Raises:
        InputError: If the file is not there, not panoptic, or lacks a class; or hotcoco is not installed.

    >>> PanopticQualityMetric(ann_file='panoptic_val.json', seg_prefix='panoptic_val')  # doctest: +SKIP
    """

    default_prefix = 'coco_panoptic'

    def __init__(
        self,
        ann_file: str,
        seg_prefix: str | None = None,
        classwise: bool = False,
        format_only: bool = False,
        outfile_prefix: str | None = None,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        if format_only and outfile_prefix is None:
            raise InputError('PanopticQualityMetric: format_only=True writes files: name them by outfile_prefix.')
        if not format_only:
            _hotcoco()  # before a training, not at its first validation
        self.ann_file, self.seg_prefix, self.classwise = ann_file, seg_prefix, classwise
        self.format_only, self.outfile_prefix = format_only, outfile_prefix
        self._truth = read_coco(ann_file, annotated=not format_only, panoptic=True)
        self._names = {image['id']: f'{Path(image["file_name"]).stem}.png' for image in self._truth['images']}
        self._names |= {entry['image_id']: entry['file_name'] for entry in self._truth.get('annotations', [])}

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Keep predictions, each with its PNG."""
        categories = {category['name']: category['id'] for category in self._truth['categories']}
        classes = self.dataset_meta['classes']
        absent = [name for name in classes if name not in categories]
        if absent:
            raise AnnotationError(
                f'{len(absent)} of the classes, {absent[0]} first, are no categories of {self.ann_file}: give the file '
                'of the images that are predicted.'
            )
        for sample in data_samples:
            if sample['img_id'] not in self._names:
                raise AnnotationError(
                    f'image {sample["img_id"]} is predicted, but not in {self.ann_file}: give the evaluator the '
                    'annotation file of the dataset.'
                )
            ids, segments = list_segments(sample['pred_panoptic_seg']['sem_seg'][0], len(classes))
            segments = [dict(id=s['id'], category_id=categories[classes[s['label']]], area=s['area']) for s in segments]
            entry = dict(image_id=sample['img_id'], file_name=self._names[sample['img_id']], segments_info=segments)
            self.results.append((entry, encode_segment_ids(ids)))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Write the predictions, and compare them with the ground truth of their images.

        Returns name -> percent; nothing with ``format_only``.
        """
        with tempfile.TemporaryDirectory() as folder:
            prefix = Path(self.outfile_prefix or f'{folder}/predictions')
            pngs = prefix.with_name(f'{prefix.name}.panoptic')
            for entry, content in results:
                with atomic_write(pngs / entry['file_name']) as file:
                    file.write(content)
            predictions = {name: self._truth[name] for name in ('images', 'categories')}
            predictions['annotations'] = [entry for entry, _ in results]
            with atomic_write(prefix.with_name(f'{prefix.name}.panoptic.json')) as file:
                file.write(json.dumps(predictions).encode())
            return {} if self.format_only else self._compare(predictions, pngs)

    def _compare(self, predictions: dict, pngs: Path) -> dict[str, float]:
        predicted = {entry['image_id'] for entry in predictions['annotations']}
        truth = dict(
            self._truth,
            images=[image for image in self._truth['images'] if image['id'] in predicted],
            annotations=[entry for entry in self._truth['annotations'] if entry['image_id'] in predicted],
        )
        if len(truth['images']) < len(self._truth['images']):
            print_log(f'PQ is of {len(truth["images"])} of the {len(self._truth["images"])} images.', logger='current')
        try:
            evaluation = _hotcoco().PanopticEval(truth, predictions, gt_folder=self.seg_prefix, pred_folder=pngs)
            evaluation.evaluate()
        except (ValueError, OSError) as error:
            raise AnnotationError(
                f'predictions cannot be compared with {self.ann_file} ({error}): python tools/check_dataset.py CONFIG '
                'says what is wrong with it.'
            ) from error
        print_log('\n' + '\n'.join(evaluation.summary_lines()), logger='current')
        found = evaluation.results()
        scores = {
            f'{name.upper()}{ending}': 100 * found[group][name]
            for group, ending in _GROUPS.items()
            for name in ('pq', 'sq', 'rq')
        }
        if self.classwise:
            names = {category['id']: category['name'] for category in truth['categories']}
            scores |= {f'PQ_{names[key]}': 100 * values['pq'] for key, values in found['per_class'].items()}
        return scores


def _hotcoco():
    try:
        from hotcoco import panoptic
    except ImportError as error:
        raise InputError(
            'PanopticQualityMetric needs the package hotcoco: pip install mmcentermask[panoptic].'
        ) from error
    return panoptic
