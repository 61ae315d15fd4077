"""A CA of the test's own, made and run by openssl(1): certificates for servers and clients, and a revocation list."""

from pathlib import Path

from processes import run

CONFIG = """
[ca]
default_ca = own
[own]
dir = {folder}
database = {folder}/index
serial = {folder}/serial
crlnumber = {folder}/crlnumber
new_certs_dir = {folder}
certificate = {folder}/ca.pem
private_key = {folder}/ca.key
default_md = sha256
default_days = 2
default_crl_days = 2
policy = any
unique_subject = no
copy_extensions = copy
[any]
commonName = supplied
[req]
distinguished_name = name
[name]
"""
KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def openssl(*arguments: object) -> None:
    result = run("openssl", *arguments)
    assert result.returncode == 0, result.stderr


class Authority:
    def __init__(self, folder: Path, name: str = "The test's CA") -> None:
        folder.mkdir(mode=0o755)
        self.folder, self.config, self.certificate = folder, folder / "openssl.cnf", folder / "ca.pem"
        self.config.write_text(CONFIG.format(folder=folder))
        (folder / "index").touch()
        (folder / "serial").write_text("01\n")
        (folder / "crlnumber").write_text("01\n")
        openssl("req", "-x509", *KEY, "-keyout", folder / "ca.key", "-out", self.certificate, "-days", 3, "-subj", f"/CN={name}")

    def issue(self, name: str, *alternatives: str, dates: tuple[str, str] | None = None) -> tuple[Path, Path]:
        """Certificate and key; `dates`: YYYYMMDDHHMMSSZ, from and to."""
        request, key, out = (self.folder / f"{name}.{end}" for end in ("csr", "key", "pem"))
        names = ["-addext", "subjectAltName=" + ",".join(alternatives)] if alternatives else []
        openssl("req", "-config", self.config, *KEY, "-keyout", key, "-out", request, "-subj", f"/CN={name}", *names)
        when = ["-startdate", dates[0], "-enddate", dates[1]] if dates else []
        openssl("ca", "-batch", "-notext", "-config", self.config, "-in", request, "-out", out, *when)
        return out, key

    def revoke(self, certificate: Path) -> None:
        openssl("ca", "-config", self.config, "-revoke", certificate)

    def revocation_list(self) -> Path:
        out = self.folder / "crl.pem"
        openssl("ca", "-config", self.config, "-gencrl", "-out", out)
        return out
