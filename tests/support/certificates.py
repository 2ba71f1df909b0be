"""A certificate authority of a test, and what it signs."""

import ssl
import subprocess
from pathlib import Path


class CertificateAuthority:
    """Signs certificates for a day, by the `openssl` of this machine; all lies in *folder*."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self._folder = folder
        self.file = folder / f"{name}.pem"
        self._key = folder / f"{name}.key"
        subject = ("-x509", "-nodes", "-days", "2", "-subj", f"/CN={name}", *_NEW_KEY)
        # Python refuses, from 3.13 on, an authority that does not say what its key is for.
        usage = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")
        _openssl("req", *subject, *usage, "-keyout", self._key, "-out", self.file)

    def sign(
        self, name: str, *, days: int = 1, subject: str = "DNS:localhost"
    ) -> tuple[Path, Path]:
        """Return the files of a certificate and its key; with *days* of -1 it has expired."""
        certificate, key, request, names = (
            self._folder / f"{name}.{ending}" for ending in ("pem", "key", "csr", "names")
        )
        names.write_text(
            f"subjectAltName={subject}\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
        )
        _openssl(
            "req", "-nodes", *_NEW_KEY, "-subj", f"/CN={name}", "-keyout", key, "-out", request
        )
        signing = ("-CA", self.file, "-CAkey", self._key, "-CAcreateserial", "-extfile", names)
        _openssl("x509", "-req", "-in", request, *signing, "-days", str(days), "-out", certificate)
        return certificate, key

    def serving(
        self,
        name: str,
        *,
        days: int = 1,
        subject: str = "DNS:localhost",
        asks_clients: bool = False,
    ) -> ssl.SSLContext:
        """Return what serves by a new certificate, and *asks_clients* for one of this authority."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.sign(name, days=days, subject=subject))
        if asks_clients:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.file)
        return context


_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")


def _openssl(*arguments: object) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
