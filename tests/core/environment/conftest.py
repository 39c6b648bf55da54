from fixtures.wheels import quick_environment, wheelhouse

__all__ = ["quick_environment", "wheelhouse"]
