"""The words of the table in the Korean README."""

WORDS = {
    "8 of 64 latents": "잠재 변수 64개 중 8개",
    "FID-clf, mixture\u00a0↓": "FID-clf, 혼합분포\u00a0↓",
    "dims in use": "사용된 차원 수",
    "the paper: PSNR / SSIM / Inception FID": "논문: PSNR / SSIM / Inception FID",
    "Top-K by dimension, mean |z| (the paper)": "차원별 Top-K, |z| 평균(논문)",
    "Top-K by dimension, KL": "차원별 Top-K, KL",
    "**Top-K by element (default)**": "**원소별 Top-K(기본값)**",
    "Top-K per sample": "샘플별 Top-K",
    "fixed random mask": "고정 무작위 마스크",
}
