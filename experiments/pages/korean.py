"""The words of the tables in the Korean README."""

WORDS = {
    "averaged KL": "KL 평균",
    "summed KL": "KL 합",
    "FID-clf, prior\u00a0↓": "FID-clf, 사전분포\u00a0↓",
    "FID-clf, mixture\u00a0↓": "FID-clf, 혼합분포\u00a0↓",
    "active latents": "활성 잠재 변수 수",
    "dims in use": "사용된 차원 수",
    "training images (floor)": "학습 이미지(하한)",
    "Top-K, mean |z| (the paper, literally)": "Top-K, |z| 평균(논문 그대로)",
    "Top-K by dimension, KL": "차원별 Top-K, KL",
    "**Top-K by element (default)**": "**원소별 Top-K(기본값)**",
    "Top-K per sample": "샘플별 Top-K",
    "fixed random mask": "고정 무작위 마스크",
    "dense VAE, 8 latents": "밀집 VAE, 잠재 변수 8개",
    "PCA, 8 components": "PCA, 주성분 8개",
    "PCA, 64 components": "PCA, 주성분 64개",
    "*the paper, beta-VAE*": "*논문, beta-VAE*",
    "*the paper, Batch Top-K*": "*논문, Batch Top-K*",
    "trained on clean images (left), to denoise (right)": (
        "깨끗한 이미지로 학습(왼쪽), 잡음 제거로 학습(오른쪽)"
    ),
    "dense VAE, 4 latents": "밀집 VAE, 잠재 변수 4개",
    "Top-K per sample, K annealed": "샘플별 Top-K, K 어닐링",
    "PCA, 4 components": "PCA, 주성분 4개",
    "PCA, 256 components": "PCA, 주성분 256개",
    "classifier on the noisy image": "잡음 이미지를 그대로 분류",
    "*the paper, beta-VAE (protocol not said)*": "*논문, beta-VAE(실험 방법 미기재)*",
    "*the paper, Batch Top-K (protocol not said)*": "*논문, Batch Top-K(실험 방법 미기재)*",
}
