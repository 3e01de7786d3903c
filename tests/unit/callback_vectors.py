"""Signatures that the openssl program made over strings written by hand from api-async sections 8.2 and 8.3.

    openssl dgst -sha256 -sign key.pem signed | base64                          (and over signed with a line feed more)
    openssl pkeyutl -sign -inkey key.pem -in secret -pkeyopt rsa_padding_mode:pkcs1 | base64
    openssl dgst -sha1 -mac HMAC -macopt key:one-time-secret-0123456789 -binary legacy | base64

``signed`` is SIGNED below, ``legacy`` is LEGACY_SIGNED, ``secret`` the text after ``key:``. The private key is gone.
"""

URL = "https://app.example.org/asr-done?tenant=7&x=%20y"
CERTIFICATE_URL = "https://asr.example.org/dashscribe/v1/callbacks/certificates/00.pem"
TOKEN = "s3cret token"
MILLISECONDS = 1780372804010
BODY = (
    '{"id":"3f2b1c0d-9e8f-4a7b-8c6d-5e4f3a2b1c0d","type":"dashscope:System:AsyncTaskFinish",'
    '"data":{"task_id":"7c3a1f52","task_status":"SUCCEEDED","note":"转写"}}'
).encode()

SIGNED = (
    b"https://app.example.org/asr-done?tenant=7&x=%20y\n"
    b"x-eventbridge-signature-timestamp: 1780372804010\n"
    b"x-eventbridge-hash-method: SHA256\n"
    b"x-eventbridge-signature-version: 1.0\n"
    b"x-eventbridge-signature-url: https://asr.example.org/dashscribe/v1/callbacks/certificates/00.pem\n"
    b"x-eventbridge-signature-token: s3cret token\n"
) + BODY
LEGACY_SIGNED = SIGNED.replace(b"x-eventbridge-hash-method: SHA256", b"x-eventbridge-signature-method: HMAC-SHA1")

SIGNATURE = (
    "OIhH+EX5bORVSl7/rcTcCHSpzO6PRMy7UAkGX44zOutMY0JO9ZhaAl4towpVeJFn0z5P4FXk+fbzGsis2up4g9OZ6oQHmOHYVAxi"
    "MLzbT1yFRc9zTU4Ldwk76/FliSAvGxqHkKN16A30D2jcCs8keKRRanZsMk1NM++7dUOtaC8UktNE62Kz5/Xrwud08ku0NU9SrlvM"
    "oIrVzKosL5THkUbAr95GS4qCjiFyAwGtXvNPGLF+ZI95DyJ75e6ZefUjzRccVtfF1QAGlGblPQ/O6rDV46F1cupWpoJzL5Wra/mK"
    "EeBDfULboC0mTPAFW+3RhfbTos0UbfDJcSIOJlNicA=="
)
SIGNATURE_WITH_LINE_FEED = (
    "MDTEnpQ9VKD92/YNT2d8bXEAO7njTOFzPgFb5Muf40kR7qke/11PZEs3gvXndVl0ljvVgWDJnie3NfEv/Hsj32zBcXRaJWdWWzis"
    "NUUCJw7GiwBNMOUdsvAZNbKOgL7ejxDu1CmmPjheH11BP1e+/el6cU4/V5FEkiO5dzXllsYllSNF/66vtinlWO0U98wbQMLgGtt5"
    "Zare8z9WBXkdSaObYn21aot5TvJfSQak+KwCEN9oKVTkoOhA4nEerbPFDRmGmW8Z114UWWxsHcwxhqMugutXhPe/Us5bMbbrTs/B"
    "yMu1JT4MNeP+U6m8ojn3m7+iVt6QjGzRaarI2gi67w=="
)
LEGACY_SECRET = (
    "omKoNtV67jKVy/c3hzjmY4UOo7zdZXVKO41vnRB8lrxS4gYGLIGRUc2NxcirULFTiWNBpz7g26Wwqt7S5fLp+Bn/MQRkNDYOTfV9"
    "0ChOc0MPzHxEtrp8mE+1obhN8NnIrazCX7/mAYR6aaGlGk033CBEA69SuuBSkIbYV8HLTSdOWk97tmf9qB5W+gOlkCXW6RXVVf1l"
    "GvmILEGtsEQdDnwo84m/F0o6OfeXit05LQr9xaVfJY9zGUaJMoEdDumOhE1xomgP6kb+f6j8jIVG77lIXxIOXn8R1lh7grgrW4Kw"
    "QvjWUDQcJ/G/4Afria2twlFgNSVv4WNjMczJDbVqWQ=="
)
LEGACY_SIGNATURE = "GFcb+xy/3fzQPy6MXKhljbM9OTw="
CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIDEzCCAfugAwIBAgIUFpW0/jVGFN7C2FgVY96G9kRTLuowDQYJKoZIhvcNAQEL
BQAwGDEWMBQGA1UEAwwNZ29sZGVuIHZlY3RvcjAgFw0yNjExMjYyMTI0MDdaGA8y
MTI2MTEwMjIxMjQwN1owGDEWMBQGA1UEAwwNZ29sZGVuIHZlY3RvcjCCASIwDQYJ
KoZIhvcNAQEBBQADggEPADCCAQoCggEBALm/3e4lOX8G34FBlehB4vvyhdKf3xZJ
5uP8zpZxyxyRYi89ihc1gs6WLWfHylJmSlyw7SaceY1lrJJtmL+7mvoGB7GtmQQc
cRdEaw9A1RwzSO5IEJh50ls5ZwmMlo/5th2h3sid5wYNxXpPgncSZQX5TfZTIvSV
rdTXubjXctMPVKm1+r2ckypQbz6cVuRPzZQv76OUkBaTUIoqOiVe83/FCewz9TGW
dFFGGsT4CL5HlKDqnws97tICpmV/r5ugG3Q9xpBtlc/HbWfaUxVnK9FYnRHAIi+0
JabFgdYDUIKwcgaivd6NC7zBWv28ilhxoG9XVE4GEmzdMiETXAVOqqMCAwEAAaNT
MFEwHQYDVR0OBBYEFCdS7bzbYdvQpBn/SJJ0buXdRP/UMB8GA1UdIwQYMBaAFCdS
7bzbYdvQpBn/SJJ0buXdRP/UMA8GA1UdEwEB/wQFMAMBAf8wDQYJKoZIhvcNAQEL
BQADggEBAEjZSQgQDVrZkHjw0vBTV3Wf88eot+fOz0qB+/FdCFxfZc8tipNL++EF
BHOt8wD40wl84MI7QoDzbeP9w22HIBxy2FSPMg724uDrbc+qW/FXUAj8zIY5evKe
a62rMqHhI2WsbUVX+d4sXXd1ZvBTuflj5YiOgVd1n3e4rE1KE656X5BQNck0L3vE
edHSvdeAHBLcvNCZK14hlScYoIoike4NQfOPEts1JcAEh++4TcCO3pqWQnYUu76L
HNY7yiHBsqmNbFLWdA2g4JzQmPf9R0GWJsCJZifdnYFKesyEqXtg+Ihf2qVCuUYf
PtFCmSO1whKOjS+t2vL+/Jn8HY/Ekv0=
-----END CERTIFICATE-----
"""
