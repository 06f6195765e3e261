# The same program in two flavours: target `alpine` (musl, the smaller one) and `ubi9` (glibc, Red
# Hat's UBI 9 micro); and each with git and ssh beside it, for git-sync: `alpine-git`, `ubi9-git`.
# `make image` builds all four. No stage has a compiler: the locked requirements are wheels, for
# amd64 and arm64.
ARG ALPINE=alpine:3.22.2@sha256:4b7ce07002c69e8f3d704a9c5d6fd3053be500b7f1c69fc0d80990c2ad8dd412
ARG UBI9=registry.access.redhat.com/ubi9/ubi:9.7-1774415752
ARG UBI9_MICRO=registry.access.redhat.com/ubi9/ubi-micro:9.7-1773894938

FROM ${ALPINE} AS alpine-python
RUN apk add --no-cache python3=~3.12

FROM alpine-python AS alpine-pip
RUN apk add --no-cache py3-pip=~25
WORKDIR /build

# The program as a wheel, the same for both flavours. Its builder is locked like all the rest.
FROM alpine-pip AS wheel
COPY requirements-dev.txt ./
RUN sed -n '/^setuptools==/,/[^\\]$/p' requirements-dev.txt > builder.txt \
    && python3 -m venv --without-pip builder \
    && python3 -m pip --python builder/bin/python install --no-cache-dir \
        --only-binary :all: --require-hashes --requirement builder.txt
COPY pyproject.toml README.md LICENSE ./
COPY watcher watcher
RUN python3 -m pip --python builder/bin/python wheel --no-cache-dir \
        --no-deps --no-build-isolation --wheel-dir dist .

FROM alpine-pip AS alpine-installed
COPY requirements.txt image/install.sh ./
COPY --from=wheel /build/dist dist
RUN PIP_NO_CACHE_DIR=1 ./install.sh python3 /opt/watcher dist/*.whl

# A root file system with Python, for a base that has no package manager. Patch releases of the
# packages shall come in, so none is pinned to one.
FROM ${UBI9} AS ubi9-root
# hadolint ignore=DL3041
RUN dnf install -y --installroot /rootfs --releasever 9 --setopt install_weak_deps=False --nodocs \
        ca-certificates glibc-minimal-langpack python3.12 \
    && dnf clean all --installroot /rootfs \
    && rm -rf /rootfs/var/cache/* /rootfs/var/log/*

# For git-sync. ssh insists on a name for its user; OpenShift writes one for the user that it chooses.
FROM ubi9-root AS ubi9-git-root
# hadolint ignore=DL3041
RUN dnf install -y --installroot /rootfs --releasever 9 --setopt install_weak_deps=False --nodocs \
        git-core openssh-clients \
    && dnf clean all --installroot /rootfs \
    && rm -rf /rootfs/var/cache/* /rootfs/var/log/* \
    && echo 'watcher:x:65532:65532::/:/sbin/nologin' >> /rootfs/etc/passwd

FROM ${UBI9} AS ubi9-installed
# hadolint ignore=DL3041
RUN dnf install -y --setopt install_weak_deps=False --nodocs python3.12 python3.12-pip \
    && dnf clean all
WORKDIR /build
COPY requirements.txt image/install.sh ./
COPY --from=wheel /build/dist dist
RUN PIP_NO_CACHE_DIR=1 ./install.sh /usr/bin/python3.12 /opt/watcher dist/*.whl

# All that is no file, for both images of a flavour.
FROM ${UBI9_MICRO} AS ubi9-described
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="watcher" \
    org.opencontainers.image.description="A continuous, cleaned YAML backup of every object of a Kubernetes cluster in one S3 bucket" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}"
ENV PATH=/opt/watcher/bin:/usr/bin:/bin PYTHONDONTWRITEBYTECODE=1
# A number, so that a kubelet can tell that it is not root. Any other one will do.
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["watcher"]
CMD ["run"]

FROM ubi9-described AS ubi9
COPY --from=ubi9-root /rootfs/ /
COPY --from=ubi9-installed /opt/watcher /opt/watcher

FROM ubi9-described AS ubi9-git
COPY --from=ubi9-git-root /rootfs/ /
COPY --from=ubi9-installed /opt/watcher /opt/watcher
CMD ["git-sync"]

FROM alpine-python AS alpine
COPY --from=alpine-installed /opt/watcher /opt/watcher
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="watcher" \
    org.opencontainers.image.description="A continuous, cleaned YAML backup of every object of a Kubernetes cluster in one S3 bucket" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}"
ENV PATH=/opt/watcher/bin:/usr/bin:/bin PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["watcher"]
CMD ["run"]

FROM alpine AS alpine-git
USER 0
RUN apk add --no-cache git=~2 openssh-client-default=~10 \
    && echo 'watcher:x:65532:65532::/:/sbin/nologin' >> /etc/passwd
USER 65532:65532
CMD ["git-sync"]
