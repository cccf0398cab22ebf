from pathlib import Path

from setuptools import find_packages, setup

setup(
    name="minihgd",
    version="0.1.0",
    description="EfficientFCN by hand on NumPy: every layer's forward and backward pass, training and evaluation",
    long_description=Path("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author="the minihgd authors",
    license="MIT",
    packages=find_packages(include=["minihgd", "minihgd.*"]),
    package_data={"minihgd.backend": ["kernels.cu"]},
    python_requires=">=3.10",
    install_requires=["numpy>=1.24", "scipy>=1.10", "pillow>=10.1"],
    extras_require={
        "test": ["pytest>=7"],
        "dev": ["ruff"],
        "cuda12": ["cupy-cuda12x", "ml_dtypes"],
        "cuda13": ["cupy-cuda13x", "ml_dtypes"],
        "oracle": ["torch", "safetensors", "scikit-learn", "onnx"],
        "plot": ["matplotlib"],
        "docs": ["pypandoc_binary>=1.13", "pygments>=2.16", "ziamath"],
        "mpi": ["mpi4py>=4", "mpich"],
    },
)
