# docker build -t metarl . && docker run --rm -v "$PWD/runs:/runs" metarl train quickstart --run_dir /runs/quickstart
FROM python:3.11-slim
RUN apt-get update && apt-get install -y --no-install-recommends libegl1 libgl1 libosmesa6 \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /metarl
COPY . .
RUN pip install --no-cache-dir -c constraints.txt .
WORKDIR /
ENTRYPOINT ["metarl"]
CMD ["--help"]
