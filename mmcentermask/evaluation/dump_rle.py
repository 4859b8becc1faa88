"""Writes predictions to a file."""

from collections.abc import Sequence

from mmdet.evaluation import DumpDetResults
from mmdet.registry import METRICS


@METRICS.register_module()
class DumpRLE(DumpDetResults):
    """DumpDetResults that also takes masks which are RLEs already.

    Args: As DumpDetResults.
    """

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Keep predictions, each with ``masks`` as a list of RLEs."""
        for sample in data_samples:
            codes = sample.get('pred_instances', {}).get('masks')
            if isinstance(codes, list):
                instances = {key: value for key, value in sample['pred_instances'].items() if key != 'masks'}
                super().process(data_batch, [{**sample, 'pred_instances': instances}])
                self.results[-1]['pred_instances']['masks'] = codes
            else:
                super().process(data_batch, [sample])
