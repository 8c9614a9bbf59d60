# audiorec as a server of a library, or as any of its commands:
#
#   docker build --tag audiorec .
#   docker run --rm --volume ~/Music:/music:ro --volume ./data:/data audiorec extract /music
#   docker run --volume ./data:/data:ro --publish 127.0.0.1:8095:8095 audiorec
#
# docs/install.md has the token, who may write ./data, and extras.
FROM python:3.12-slim-bookworm AS build
WORKDIR /source
COPY pyproject.toml hatch_build.py README.md LICENSE NOTICE ./
COPY audiorec audiorec
COPY cli cli
COPY fixtures/demo fixtures/demo
# One of the extras, or several: --build-arg EXTRAS=web,sklearn
ARG EXTRAS=web
RUN python -m venv /opt/audiorec \
    && /opt/audiorec/bin/pip install --no-cache-dir ".[${EXTRAS}]"

FROM python:3.12-slim-bookworm
COPY --from=build /opt/audiorec /opt/audiorec
ENV PATH=/opt/audiorec/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp
WORKDIR /data
# A number, so that Kubernetes can see that it is not root; --user is any other.
USER 10001:10001
EXPOSE 8095
# Only `serve` answers; for a container that runs another command it means nothing.
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8095/healthz', timeout=4)"]
ENTRYPOINT ["audiorec"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8095"]
