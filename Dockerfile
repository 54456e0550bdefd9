# docker build -t lstm_stream .
# docker run -v ./lstm_stream.yaml:/config/lstm_stream.yaml:ro -v lstm_stream:/var/lib/lstm_stream -p 127.0.0.1:9108:9108 lstm_stream
#
# In the configuration, `broker.host` is the broker as the container sees it, and `web: {host: 0.0.0.0}` lets the
# published port reach the metrics. A relative `state.path` lands in the volume.

ARG PYTHON=python:3.13-slim

FROM ${PYTHON} AS build
WORKDIR /src
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/venv
COPY pyproject.toml README.md LICENSE ./
COPY lstm_stream lstm_stream
# Whole seconds, because layers keep no more of a file's time, and Numba compares it with that in its cache.
RUN /opt/venv/bin/pip install '.[web]' \
    && find /opt/venv/lib -path '*/lstm_stream/*' -exec touch -d 2000-01-01T00:00:00Z {} + \
    && /opt/venv/bin/python -m compileall -q /opt/venv/lib

FROM ${PYTHON}
# The kernels compiled here are found at run time only if CPU name and features are the same there. Left alone Numba
# takes those of the machine that builds, and another one would compile for 15 s at every start. x86-64-v3 (AVX2 and
# FMA: Intel since 2013, AMD since 2015) is the best that servers have in common. Another architecture or an older CPU
# wants --build-arg CPU=generic; one with AVX-512 gains from --build-arg CPU=x86-64-v4.
ARG CPU=x86-64-v3
ENV NUMBA_CPU_NAME=${CPU} \
    NUMBA_CPU_FEATURES="" \
    NUMBA_CACHE_DIR=/var/cache/lstm_stream \
    PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1
RUN groupadd --gid 9108 lstm_stream \
    && useradd --no-log-init --uid 9108 --gid 9108 --home-dir /var/lib/lstm_stream --shell /usr/sbin/nologin lstm_stream \
    && install -d -o 9108 -g 0 -m 0775 /var/lib/lstm_stream /var/cache/lstm_stream
COPY --from=build /opt/venv /opt/venv
USER 9108:9108
WORKDIR /var/lib/lstm_stream
RUN python -c "from lstm_stream.warming import warm_kernels; warm_kernels()"
# With a read-only root, or as another user, the daemon works on a copy of the cache in /tmp (see machinecode.py).
VOLUME /var/lib/lstm_stream
EXPOSE 9108
# Any answer below 500 shows that the line turns; 401 is one, where web.config_file names users. With TLS, or another
# port, give a check of your own: --health-cmd.
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import http.client as h; c = h.HTTPConnection('127.0.0.1', 9108, timeout=4); c.request('GET', '/-/healthy'); exit(c.getresponse().status >= 500)"]
ENTRYPOINT ["lstm-stream"]
CMD ["run", "/config/lstm_stream.yaml"]
