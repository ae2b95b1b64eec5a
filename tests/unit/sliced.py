"""A CT as a folder of DICOM slices."""

import numpy as np
import pydicom
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

TO_LPS = np.diag([-1.0, -1, 1, 1])


def write_series(folder, hu, affine, names="IM{:04d}", slope=1.0, intercept=-1024.0, encode=None, **tags):
    """Write voxels (i, j, k) in HU as slices k in a folder, and return their paths.

    names: a pattern of the slice's number; slope and intercept: numbers, or one a slice; encode: what becomes of each
    dataset before it is written; tags: further attributes, a value or a function of the slice's number.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lps = TO_LPS @ affine
    sizes = np.linalg.norm(lps[:3, :3], axis=0)
    along, down, _ = (lps[:3, :3] / sizes).T
    uid, count = generate_uid(entropy_srcs=[str(folder)]), hu.shape[2]
    slopes, intercepts = np.broadcast_to(slope, count), np.broadcast_to(intercept, count)
    paths = []
    for k in range(count):
        stored = np.rint((hu[:, :, k].T - intercepts[k]) / slopes[k]).astype(np.int16)
        piece = pydicom.Dataset()
        piece.file_meta = FileMetaDataset()
        piece.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        piece.file_meta.MediaStorageSOPClassUID = piece.SOPClassUID = CTImageStorage
        piece.file_meta.MediaStorageSOPInstanceUID = piece.SOPInstanceUID = f"{uid[:40]}.{k + 1}"
        piece.Modality, piece.ImageType, piece.PatientID = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"], "P1"
        piece.StudyInstanceUID, piece.SeriesInstanceUID, piece.SeriesNumber = "1.2.3", uid, 2
        piece.SeriesDescription, piece.InstanceNumber = "Lung 1.0", k + 1
        piece.Rows, piece.Columns = stored.shape
        piece.PixelSpacing, piece.SliceThickness = [float(sizes[1]), float(sizes[0])], float(sizes[2])
        piece.ImagePositionPatient = [f"{x:.10g}"[:16] for x in (lps @ [0, 0, k, 1])[:3]]
        piece.ImageOrientationPatient = [f"{x:.10f}" for x in (*along, *down)]
        piece.RescaleSlope, piece.RescaleIntercept, piece.RescaleType = slopes[k], intercepts[k], "HU"
        piece.SamplesPerPixel, piece.PhotometricInterpretation = 1, "MONOCHROME2"
        piece.BitsAllocated, piece.BitsStored, piece.HighBit, piece.PixelRepresentation = 16, 16, 15, 1
        piece.PixelData = stored.tobytes()
        for tag, value in tags.items():
            value = value(k) if callable(value) else value
            if value is None:
                del piece[tag]
            else:
                setattr(piece, tag, value)
        if encode:
            encode(piece)
        paths.append(folder / names.format(k))
        piece.save_as(paths[-1], enforce_file_format=True)
    return paths
